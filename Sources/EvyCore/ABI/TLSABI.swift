// SPDX-License-Identifier: MIT
// TLSABI - chapter "TLS" of evy.h.
// Room: ABI.

public import CEvy
internal import Glibc

@implementation @_cdecl("evy_tls_new")
public func evy_tls_new() -> OpaquePointer? { Handle.make(TLSHandle()) }

@implementation @_cdecl("evy_tls_free")
public func evy_tls_free(_ tls: OpaquePointer?) { Handle.free(tls, TLSHandle.self) }

private func change(
    _ tls: OpaquePointer?, _ body: (inout TLSPolicy) throws(TLSError) -> Void
) -> evy_status {
    guard let handle = Handle.object(tls, TLSHandle.self) else { return Status.badArgument }
    do throws(TLSError) {
        try body(&handle.policy)
        handle.context = nil
        return Status.ok
    } catch {
        handle.error.set(error.text)
        switch error.kind {
        case .option: return Status.option
        case .value: return Status.value
        case .tls: return Status.tls
        }
    }
}

private func refuse(_ tls: OpaquePointer?, _ text: String) -> evy_status {
    Handle.object(tls, TLSHandle.self)?.error.set(text)
    return Status.badArgument
}

@implementation @_cdecl("evy_tls_cert_file")
public func evy_tls_cert_file(
    _ tls: OpaquePointer?, _ cert_pem: UnsafePointer<CChar>?, _ key_pem: UnsafePointer<CChar>?,
    _ pass: UnsafePointer<CChar>?
) -> evy_status {
    guard let cert_pem else { return refuse(tls, "certificate file name is NULL") }
    return change(tls) { (policy) throws(TLSError) in
        try policy.setCertificate(file: cert_pem, key: key_pem, pass: pass)
    }
}

@implementation @_cdecl("evy_tls_cert_mem")
public func evy_tls_cert_mem(
    _ tls: OpaquePointer?, _ cert: UnsafeRawPointer?, _ cert_len: Int, _ key: UnsafeRawPointer?,
    _ key_len: Int,
    _ pass: UnsafePointer<CChar>?
) -> evy_status {
    guard let cert, let certificate = hostBytes(cert, cert_len) else {
        return refuse(tls, "certificate is NULL")
    }
    guard let keyBytes = hostBytes(key, key == nil ? 0 : key_len) else {
        return refuse(tls, "bad length of the key")
    }
    return change(tls) { (policy) throws(TLSError) in
        try policy.setCertificate(memory: certificate, key: key == nil ? nil : keyBytes, pass: pass)
    }
}

@implementation @_cdecl("evy_tls_set")
public func evy_tls_set(
    _ tls: OpaquePointer?, _ key: UnsafePointer<CChar>?, _ value: UnsafePointer<CChar>?
) -> evy_status {
    guard let key, let value else { return refuse(tls, "TLS option or value is NULL") }
    let name = String(cString: key)
    let text = String(cString: value)
    return change(tls) { (policy) throws(TLSError) in try policy.set(name, text) }
}

@implementation @_cdecl("evy_tls_error")
public func evy_tls_error(_ tls: OpaquePointer?) -> UnsafePointer<CChar>? {
    Handle.object(tls, TLSHandle.self)?.error.pointer
}
