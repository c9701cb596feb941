// SPDX-License-Identifier: MIT
// ProcessState - what of this process a library has to leave as it found it.
internal import Glibc

enum ProcessState {
    /// The kernel's numbers of all threads.
    static var threads: Set<String> { Set(entries(of: "/proc/self/task")) }

    /// Every open descriptor, and what it stands for.
    static var descriptors: [String: String] {
        var found: [String: String] = [:]
        for name in entries(of: "/proc/self/fd") {
            var target = [CChar](repeating: 0, count: 4096)
            let count = readlink("/proc/self/fd/" + name, &target, target.count)
            // The one with which the folder itself was read is closed again.
            if count >= 0 {
                found[name] = String(decoding: target[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
            }
        }
        return found
    }

    /// What each of the signals 1...31 does: handler, flags and the signals blocked meanwhile.
    static var signalDispositions: [String] {
        (1...31).map { (signal: Int32) in
            var action = sigaction()
            sigaction(signal, nil, &action)
            let handler = withUnsafeBytes(of: action.__sigaction_handler) { Array($0) }
            // Asked one by one: beyond the kernel's 64 bits, the mask holds anything.
            let blocked = (1...64).filter { (other: Int32) in sigismember(&action.sa_mask, other) == 1 }
            return "signal \(signal): \(handler) \(action.sa_flags) \(blocked)"
        }
    }

    /// How long the calling thread has waited for a processor, in all, as /proc tells it.
    static var queuedTime: Duration {
        guard let file = fopen("/proc/thread-self/schedstat", "r") else { return .zero }
        defer { fclose(file) }
        var line = [CChar](repeating: 0, count: 128)
        guard fgets(&line, Int32(line.count), file) != nil else { return .zero }
        let text = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let words = text.split(separator: " ")
        return words.count < 2 ? .zero : .nanoseconds(Int64(words[1]) ?? 0)
    }

    private static func entries(of folder: String) -> [String] {
        guard let directory = opendir(folder) else { return [] }
        defer { closedir(directory) }
        var found: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if !name.hasPrefix(".") { found.append(name) }
        }
        return found
    }
}

/// EVY_TIME_FACTOR: by how much a slow machine, or a sanitizer, may stretch a limit in time.
var timeFactor: Double { getenv("EVY_TIME_FACTOR").flatMap { Double(String(cString: $0)) } ?? 1 }
