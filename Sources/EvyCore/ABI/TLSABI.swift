// SPDX-License-Identifier: MIT
// TLSABI - chapter "TLS" of evy.h.
// Room: ABI.

public import CEvy
internal import Glibc

@implementation @_cdecl("evy_tls_new")
public func evy_tls_new() -> OpaquePointer? { Handle.make(TLSHandle()) }

@implementation @_cdecl("evy_tls_free")
public func evy_tls_free(_ tls: OpaquePointer?) { Handle.free(tls, TLSHandle.self) }

extension TLSHandle {
    /// Puts the policy as it is now into force, for every listener that shares the object. Gate held.
    func publish() throws(TLSError) -> TLSProvider {
        if let provider, !isChanged { return provider }
        let context = try policy.makeContext()
        isChanged = false
        if let provider {
            provider.replace(context)
            return provider
        }
        let made = TLSProvider(context)
        provider = made
        return made
    }
}

/// Gate held.
private func note(_ handle: TLSHandle, _ error: TLSError) -> evy_status {
    handle.error.set(error.text)
    switch error.kind {
    case .option: return Status.option
    case .value: return Status.value
    case .tls: return Status.tls
    }
}

private func change(
    _ tls: OpaquePointer?, _ body: (inout TLSPolicy) throws(TLSError) -> Void
) -> evy_status {
    guard let handle = Handle.object(tls, TLSHandle.self) else { return Status.badArgument }
    handle.gate.lock()
    defer { handle.gate.unlock() }
    do throws(TLSError) {
        // On a copy: a fork at this moment finds it as it was (see ForkGate).
        var next = handle.policy
        try body(&next)
        handle.policy = next
        handle.isChanged = true
        return Status.ok
    } catch {
        return note(handle, error)
    }
}

private func refuse(_ tls: OpaquePointer?, _ text: String) -> evy_status {
    if let handle = Handle.object(tls, TLSHandle.self) { handle.gate.withLock { handle.error.set(text) } }
    return Status.badArgument
}

@implementation @_cdecl("evy_tls_cert_file")
public func evy_tls_cert_file(
    _ tls: OpaquePointer?, _ name: UnsafePointer<CChar>?, _ cert_pem: UnsafePointer<CChar>?,
    _ key_pem: UnsafePointer<CChar>?, _ pass: UnsafePointer<CChar>?
) -> evy_status {
    guard let cert_pem else { return refuse(tls, "certificate file name is NULL") }
    return change(tls) { (policy) throws(TLSError) in
        try policy.setCertificate(name, file: cert_pem, key: key_pem, pass: pass)
    }
}

@implementation @_cdecl("evy_tls_cert_mem")
public func evy_tls_cert_mem(
    _ tls: OpaquePointer?, _ name: UnsafePointer<CChar>?, _ cert: UnsafeRawPointer?, _ cert_len: Int,
    _ key: UnsafeRawPointer?, _ key_len: Int, _ pass: UnsafePointer<CChar>?
) -> evy_status {
    guard let cert, let certificate = hostBytes(cert, cert_len) else {
        return refuse(tls, "certificate is NULL")
    }
    guard let keyBytes = hostBytes(key, key == nil ? 0 : key_len) else {
        return refuse(tls, "bad length of the key")
    }
    return change(tls) { (policy) throws(TLSError) in
        try policy.setCertificate(name, memory: certificate, key: key == nil ? nil : keyBytes, pass: pass)
    }
}

@implementation @_cdecl("evy_tls_client_ca_file")
public func evy_tls_client_ca_file(
    _ tls: OpaquePointer?, _ verify: Int32, _ ca_pem: UnsafePointer<CChar>?
) -> evy_status {
    guard let mode = TLSVerify(rawValue: verify) else { return refuse(tls, "\(verify) is no EVY_VERIFY_*") }
    guard let ca_pem = ca_pem ?? (mode == .none ? ("" as StaticString).cString : nil) else {
        return refuse(tls, "client CA file name is NULL")
    }
    return change(tls) { (policy) throws(TLSError) in try policy.setClientCA(mode, file: ca_pem) }
}

@implementation @_cdecl("evy_tls_client_ca_mem")
public func evy_tls_client_ca_mem(
    _ tls: OpaquePointer?, _ verify: Int32, _ ca: UnsafeRawPointer?, _ len: Int
) -> evy_status {
    guard let mode = TLSVerify(rawValue: verify) else { return refuse(tls, "\(verify) is no EVY_VERIFY_*") }
    guard ca != nil || mode == .none, let bytes = hostBytes(ca, ca == nil ? 0 : len) else {
        return refuse(tls, "client CA is NULL")
    }
    return change(tls) { (policy) throws(TLSError) in try policy.setClientCA(mode, memory: bytes) }
}

@implementation @_cdecl("evy_tls_reload")
public func evy_tls_reload(_ tls: OpaquePointer?) -> evy_status {
    guard let handle = Handle.object(tls, TLSHandle.self) else { return Status.badArgument }
    handle.gate.lock()
    defer { handle.gate.unlock() }
    do throws(TLSError) {
        let next = try handle.policy.readAgain()
        let context = try next.makeContext()
        handle.policy = next
        handle.isChanged = false
        if let provider = handle.provider {
            provider.replace(context)
        } else {
            handle.provider = TLSProvider(context)
        }
        return Status.ok
    } catch {
        // Whatever was wrong, it is a file now: its options were right when they were set.
        _ = note(handle, error)
        return Status.tls
    }
}

@implementation @_cdecl("evy_tls_set")
public func evy_tls_set(
    _ tls: OpaquePointer?, _ key: UnsafePointer<CChar>?, _ value: UnsafePointer<CChar>?
) -> evy_status {
    guard let key, let value else { return refuse(tls, "TLS option or value is NULL") }
    let name = String(cString: key)
    let text = String(validatingCString: value)
    return change(tls) { (policy) throws(TLSError) in try policy.set(name, text) }
}

@implementation @_cdecl("evy_tls_error")
public func evy_tls_error(_ tls: OpaquePointer?) -> UnsafePointer<CChar>? {
    guard let handle = Handle.object(tls, TLSHandle.self) else { return nil }
    return handle.gate.withLock { handle.error.pointer }
}
