// SPDX-License-Identifier: MIT
// TLSKeyLog - appends the secrets of handshakes to a file, for those who look into captured traffic.
// Room: Transport. Spec: draft-ietf-tls-keylogfile (the NSS key log format).

internal import COpenSSL
internal import Glibc

/// Ownership: owns the descriptor, closes it in deinit.
/// Thread:    any; each line is one append.
final class TLSKeyLog: @unchecked Sendable {
    let path: String
    private let descriptor: LogCalls.Descriptor

    /// Only the owner may read what opens every connection.
    init(path: String) throws(TLSError) {
        self.path = path
        do throws(LogCalls.Failure) {
            descriptor = try LogCalls.open(path: path, mode: 0o600)
        } catch {
            throw .value("keylog_file", path, "cannot be opened: " + error.text)
        }
    }

    deinit { LogCalls.close(descriptor) }

    static let write: @convention(c) (OpaquePointer?, UnsafePointer<CChar>?) -> Void = { ssl, line in
        guard let line, let log = TLSAttachment.of(ssl)?.keyLog else { return }
        var text = ByteBuffer()
        text.append(UnsafeRawBufferPointer(start: line, count: strlen(line)))
        text.append(0x0A)
        // A full disk must not end the handshake.
        _ = try? LogCalls.write(text.readable, to: log.descriptor)
    }
}
