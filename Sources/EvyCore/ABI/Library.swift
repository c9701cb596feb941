// SPDX-License-Identifier: MIT
// Library - chapter "library" of evy.h: version, features, statuses as text.
// Room: ABI.

public import CEvy
internal import Glibc

/// Made once: the text names the OpenSSL that is really loaded.
private let versionText: LentTextBox = {
    let text = LentText()
    text.set("\(Version.text) (OpenSSL \(TLSContext.libraryVersion), epoll)")
    return LentTextBox(text: text)
}()

/// Thread: any; written before it is shared, never after.
private struct LentTextBox: @unchecked Sendable { let text: LentText }

@implementation @_cdecl("evy_version")
public func evy_version() -> UInt32 { Version.number }

@implementation @_cdecl("evy_version_string")
public func evy_version_string() -> UnsafePointer<CChar>? { versionText.text.pointer }

@implementation @_cdecl("evy_feature")
public func evy_feature(_ name: UnsafePointer<CChar>?) -> Int32 {
    guard let name else { return 0 }
    return strcmp(name, "tls") == 0 || strcmp(name, "http/1.1") == 0 ? 1 : 0
}

private struct StatusText {
    let code: Int32
    let name: StaticString
    let text: StaticString
}

private let statusTexts: [StatusText] = [
    StatusText(code: 0, name: "EVY_OK", text: "ok"),
    StatusText(code: 1, name: "EVY_FULL", text: "taken, but above the high-water mark"),
    StatusText(code: 2, name: "EVY_END", text: "no more"),
    StatusText(code: -1, name: "EVY_E_ARG", text: "bad argument"),
    StatusText(code: -2, name: "EVY_E_NOMEM", text: "out of memory, threads or descriptors"),
    StatusText(code: -3, name: "EVY_E_STATE", text: "not allowed now"),
    StatusText(code: -4, name: "EVY_E_AGAIN", text: "nothing yet"),
    StatusText(code: -5, name: "EVY_E_TIMEOUT", text: "the time has passed"),
    StatusText(code: -6, name: "EVY_E_GONE", text: "the peer is gone"),
    StatusText(code: -7, name: "EVY_E_LIMIT", text: "a configured limit was passed"),
    StatusText(code: -8, name: "EVY_E_OPTION", text: "unknown option"),
    StatusText(code: -9, name: "EVY_E_VALUE", text: "bad value for an option"),
    StatusText(code: -10, name: "EVY_E_FIELD", text: "bad header name or value"),
    StatusText(code: -11, name: "EVY_E_PROTOCOL", text: "the peer broke the protocol"),
    StatusText(code: -12, name: "EVY_E_BIND", text: "address in use or not usable"),
    StatusText(code: -13, name: "EVY_E_TLS", text: "certificate, key or TLS policy"),
    StatusText(code: -14, name: "EVY_E_IO", text: "a system call failed"),
    StatusText(code: -15, name: "EVY_E_FORKED", text: "the server was started by a parent process"),
    StatusText(code: -16, name: "EVY_E_UNSUPPORTED", text: "not supported"),
    StatusText(code: -17, name: "EVY_E_INTERNAL", text: "internal error"),
]

@implementation @_cdecl("evy_strerror")
public func evy_strerror(_ code: evy_status) -> UnsafePointer<CChar>? {
    (statusTexts.first { $0.code == code }?.text ?? "unknown status").cString
}

@implementation @_cdecl("evy_strname")
public func evy_strname(_ code: evy_status) -> UnsafePointer<CChar>? {
    (statusTexts.first { $0.code == code }?.name ?? "EVY_?").cString
}

@implementation @_cdecl("evy_end_name")
public func evy_end_name(_ end: Int32) -> UnsafePointer<CChar>? {
    (ExchangeEnd(rawValue: end)?.name ?? "?").cString
}
