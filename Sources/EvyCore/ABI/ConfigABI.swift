// SPDX-License-Identifier: MIT
// ConfigABI - chapter "options" of evy.h, and the callbacks and listeners a configuration collects.
// Room: ABI. Every argument is checked here; below this file nothing of the host is unchecked.

public import CEvy
internal import Glibc

@implementation @_cdecl("evy_config_new")
public func evy_config_new() -> OpaquePointer? { Handle.make(ConfigHandle()) }

@implementation @_cdecl("evy_config_free")
public func evy_config_free(_ cfg: OpaquePointer?) { Handle.free(cfg, ConfigHandle.self) }

/// Sets an option and keeps the text of a failure.
private func set(
    _ cfg: OpaquePointer?, _ key: UnsafePointer<CChar>?,
    _ change: (inout Options, String) throws(OptionError) -> Void
) -> evy_status {
    guard let config = Handle.object(cfg, ConfigHandle.self) else { return Status.badArgument }
    guard let key else { return fail(config, Status.badArgument, "option name is NULL") }
    do throws(OptionError) {
        try change(&config.configuration.options, String(cString: key))
        return Status.ok
    } catch {
        return fail(config, error.isUnknown ? Status.option : Status.value, error.text)
    }
}

func fail(_ config: ConfigHandle, _ status: evy_status, _ text: String) -> evy_status {
    config.error.set(text)
    return status
}

@implementation @_cdecl("evy_config_set")
public func evy_config_set(
    _ cfg: OpaquePointer?, _ key: UnsafePointer<CChar>?, _ value: UnsafePointer<CChar>?
) -> evy_status {
    guard let value else {
        guard let config = Handle.object(cfg, ConfigHandle.self) else { return Status.badArgument }
        return fail(config, Status.badArgument, "option value is NULL")
    }
    return set(cfg, key) { (options, name) throws(OptionError) in
        guard let text = String(validatingCString: value) else { throw Options.notUTF8(name) }
        try options.set(name, text)
    }
}

@implementation @_cdecl("evy_config_set_int")
public func evy_config_set_int(_ cfg: OpaquePointer?, _ key: UnsafePointer<CChar>?, _ value: Int64)
    -> evy_status
{
    set(cfg, key) { (options, name) throws(OptionError) in try options.set(name, number: value) }
}

@implementation @_cdecl("evy_config_get")
public func evy_config_get(_ cfg: OpaquePointer?, _ key: UnsafePointer<CChar>?) -> UnsafePointer<CChar>? {
    guard let config = Handle.object(cfg, ConfigHandle.self), let key else { return nil }
    let name = String(cString: key)
    guard let value = config.configuration.options.get(name) else { return nil }
    let text = config.lent[name] ?? LentText()
    config.lent[name] = text
    // The same text stays where it is: what was lent before is good until the option changes.
    if text.string != value { text.set(value) }
    return text.pointer
}

@implementation @_cdecl("evy_config_error")
public func evy_config_error(_ cfg: OpaquePointer?) -> UnsafePointer<CChar>? {
    Handle.object(cfg, ConfigHandle.self)?.error.pointer
}

@implementation @_cdecl("evy_option_name")
public func evy_option_name(_ index: UInt32) -> UnsafePointer<CChar>? {
    Int(index) < Options.table.count ? Options.table[Int(index)].name.cString : nil
}

private func row(_ key: UnsafePointer<CChar>?) -> OptionRow? {
    key.flatMap { Options.find(String(cString: $0)) }
}

@implementation @_cdecl("evy_option_type")
public func evy_option_type(_ key: UnsafePointer<CChar>?) -> UnsafePointer<CChar>? { row(key)?.type.cString }

@implementation @_cdecl("evy_option_default")
public func evy_option_default(_ key: UnsafePointer<CChar>?) -> UnsafePointer<CChar>? {
    row(key)?.default.cString
}

@implementation @_cdecl("evy_option_help")
public func evy_option_help(_ key: UnsafePointer<CChar>?) -> UnsafePointer<CChar>? { row(key)?.help.cString }

@implementation @_cdecl("evy_config_env")
public func evy_config_env(
    _ cfg: OpaquePointer?, _ name: UnsafePointer<CChar>?, _ value: UnsafePointer<CChar>?
) -> evy_status {
    guard let config = Handle.object(cfg, ConfigHandle.self) else { return Status.badArgument }
    guard let name, let value else {
        return fail(config, Status.badArgument, "environ name or value is NULL")
    }
    guard name.pointee != 0 else { return fail(config, Status.badArgument, "environ name is empty") }
    config.configuration.environPairs += UnsafeRawBufferPointer(start: name, count: strlen(name) + 1)
    config.configuration.environPairs += UnsafeRawBufferPointer(start: value, count: strlen(value) + 1)
    return Status.ok
}

// MARK: Listeners

/// Clear text for NULL alone: what is no TLS object, or was freed, must not open a door.
private func provider(_ tls: OpaquePointer?, _ config: ConfigHandle) -> (TLSProvider?, evy_status) {
    guard tls != nil else { return (nil, Status.ok) }
    guard let handle = Handle.object(tls, TLSHandle.self) else {
        return (nil, fail(config, Status.badArgument, "this is no TLS object, or it was freed"))
    }
    handle.gate.lock()
    defer { handle.gate.unlock() }
    do throws(TLSError) {
        return (try handle.publish(), Status.ok)
    } catch {
        return (nil, fail(config, Status.tls, error.text))
    }
}

@implementation @_cdecl("evy_config_listen")
public func evy_config_listen(
    _ cfg: OpaquePointer?, _ address: UnsafePointer<CChar>?, _ tls: OpaquePointer?
) -> evy_status {
    guard let config = Handle.object(cfg, ConfigHandle.self) else { return Status.badArgument }
    guard let address else { return fail(config, Status.badArgument, "address is NULL") }
    guard let text = String(validatingCString: address) else {
        let shown = OptionValue.quoted(String(cString: address))
        return fail(config, Status.value, "cannot read address \(shown): it is not UTF-8")
    }
    let parsed: ListenAddress
    do throws(ListenAddressError) { parsed = try ListenAddress(text) } catch {
        return fail(config, Status.value, "cannot read address \"\(text)\": \(error.reason)")
    }
    let (provider, refusal) = provider(tls, config)
    guard refusal == Status.ok else { return refusal }
    switch parsed.form {
    case .internet, .unix, .abstract: config.configuration.listeners.append((.address(parsed), provider))
    case .descriptor(let fd): return adopt([fd], parsed, provider, config)
    case .systemd(let name):
        do throws(SocketError) {
            return adopt(try PassedSockets.named(name), parsed, provider, config)
        } catch {
            return fail(config, Status.bind, "cannot listen on \(text): \(error.text)")
        }
    }
    return Status.ok
}

/// Sockets that an address names by number; all of them or none.
private func adopt(
    _ descriptors: [Int32], _ address: ListenAddress, _ provider: TLSProvider?, _ config: ConfigHandle
) -> evy_status {
    // All are looked at before the first duplicate is made, which could take the number of a missing one.
    if let problem = descriptors.lazy.compactMap({ Sockets.problem(withListener: $0) }).first {
        return fail(config, Status.bind, "cannot listen on \(address.text): \(problem)")
    }
    var adopted: [AdoptedDescriptor] = []
    for fd in descriptors {
        guard let socket = AdoptedDescriptor(fd, address.traits) else {
            return fail(config, Status.outOfMemory, "cannot duplicate descriptor \(fd)")
        }
        adopted.append(socket)
    }
    for socket in adopted { config.configuration.listeners.append((.descriptor(socket), provider)) }
    return Status.ok
}

@implementation @_cdecl("evy_config_listen_fd")
public func evy_config_listen_fd(_ cfg: OpaquePointer?, _ fd: Int32, _ tls: OpaquePointer?) -> evy_status {
    guard let config = Handle.object(cfg, ConfigHandle.self) else { return Status.badArgument }
    guard Sockets.isOpen(fd) else { return fail(config, Status.badArgument, "descriptor \(fd) is not open") }
    if let problem = Sockets.problem(withListener: fd) { return fail(config, Status.value, problem) }
    let (provider, refusal) = provider(tls, config)
    guard refusal == Status.ok else { return refusal }
    guard let adopted = AdoptedDescriptor(fd) else {
        return fail(config, Status.outOfMemory, "cannot duplicate descriptor \(fd)")
    }
    config.configuration.listeners.append((.descriptor(adopted), provider))
    return Status.ok
}

// MARK: Callbacks

/// The callback is kept by `keep`; where it cannot be taken, dropping it calls the host's drop function.
private func take<F>(
    _ cfg: OpaquePointer?, _ function: F?, _ user: UnsafeMutableRawPointer?, _ drop: evy_drop_fn?,
    _ keep: (inout Configuration, HostCallback<F>) -> Void
) -> evy_status {
    guard let config = Handle.object(cfg, ConfigHandle.self), let function else {
        drop?(user)
        if let config = Handle.object(cfg, ConfigHandle.self) { config.error.set("callback is NULL") }
        return Status.badArgument
    }
    keep(&config.configuration, HostCallback(function, user, drop))
    return Status.ok
}

@implementation @_cdecl("evy_config_on_request")
public func evy_config_on_request(
    _ cfg: OpaquePointer?, _ fn: evy_handler_fn?, _ user: UnsafeMutableRawPointer?, _ drop: evy_drop_fn?
) -> evy_status {
    take(cfg, fn, user, drop) { $0.handler = $1 }
}

@implementation @_cdecl("evy_config_on_log")
public func evy_config_on_log(
    _ cfg: OpaquePointer?, _ fn: evy_log_fn?, _ user: UnsafeMutableRawPointer?, _ drop: evy_drop_fn?
) -> evy_status {
    take(cfg, fn, user, drop) { $0.log = $1 }
}

@implementation @_cdecl("evy_config_on_access")
public func evy_config_on_access(
    _ cfg: OpaquePointer?, _ fn: evy_access_fn?, _ user: UnsafeMutableRawPointer?, _ drop: evy_drop_fn?
) -> evy_status {
    take(cfg, fn, user, drop) { $0.access = $1 }
}
