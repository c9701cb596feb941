// SPDX-License-Identifier: MIT
// PythonABI - chapter "CPython" of evy.h.
// Room: ABI.

public import CEvy

@implementation @_cdecl("evy_config_python")
public func evy_config_python(_ cfg: OpaquePointer?, _ bridge: UnsafeMutableRawPointer?) -> evy_status {
    guard let config = Handle.object(cfg, ConfigHandle.self) else { return Status.badArgument }
    guard let bridge else { return fail(config, Status.badArgument, "bridge is NULL") }
    do throws(PythonAttachment.Failure) {
        let made = try PythonAttachment.make(bridge)
        config.configuration.handler = HostCallback(
            PythonAttachment.handler, UnsafeMutableRawPointer(made), PythonAttachment.drop)
        config.configuration.hostLock = PythonAttachment.lock(made)
        return Status.ok
    } catch {
        switch error {
        case .unsupported(let text): return fail(config, Status.unsupported, text)
        case .badObject(let text): return fail(config, Status.badArgument, text)
        }
    }
}
