// SPDX-License-Identifier: MIT
// workers - slow work on threads of the program's own: a bounded queue, late answers, an orderly end.
// swift run evy-workers-swift [PORT [WORKERS [QUEUE]]], then:
//   curl http://127.0.0.1:8090/work/3000   an answer after 3000 ms of work, or 503 where the queue is full
//   curl http://127.0.0.1:8090/            how much is queued and worked on
//   kill PID                               takes no more, finishes what it has, and ends
// Work that blocks has no place in a Task: the few threads of those are for all tasks of the program.
import Evy
import Glibc
import Synchronization

/// A request that waits for a worker, kept beyond its handler, and the work it asks for.
struct Job: Sendable {
    let pending: PendingRequest
    let milliseconds: Int
}

/// Between the threads of evy, which never wait for it, and the workers.
/// Thread: any; the state is behind a mutex, the semaphore is one for threads.
final class JobQueue: @unchecked Sendable {
    private struct State {
        var waiting: [Job] = []
        var working = 0
        var done = 0
        var isOver = false
    }
    private let state = Mutex(State())
    private let capacity: Int
    private let wakeUps = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)

    init(capacity: Int) {
        self.capacity = capacity
        sem_init(wakeUps, 0, 0)
    }

    deinit { wakeUps.deallocate() }

    var counts: (queued: Int, working: Int, done: Int) {
        state.withLock { ($0.waiting.count, $0.working, $0.done) }
    }

    /// False: it is full.
    func add(_ job: Job) -> Bool {
        let isAdded = state.withLock { state in
            guard state.waiting.count < capacity else { return false }
            state.waiting.append(job)
            return true
        }
        if isAdded { sem_post(wakeUps) }
        return isAdded
    }

    /// False: a worker has it already.
    func drop(_ id: UInt64) -> Bool {
        let dropped = state.withLock { state -> Job? in
            guard let place = state.waiting.firstIndex(where: { $0.pending.request.id == id }) else {
                return nil
            }
            return state.waiting.remove(at: place)
        }
        return dropped != nil
    }

    /// For each job, the oldest first; returns when the queue is over and empty.
    func work(_ finish: (Job) -> Void) {
        while true {
            sem_wait(wakeUps)
            let (job, isOver) = state.withLock { state -> (Job?, Bool) in
                guard !state.waiting.isEmpty else { return (nil, state.isOver) }
                state.working += 1
                return (state.waiting.removeFirst(), false)
            }
            if isOver { return }
            guard let job else { continue }  // dropped meanwhile
            finish(job)
            state.withLock { state in
                state.working -= 1
                state.done += 1
            }
        }
    }

    func end(workers: Int) {
        state.withLock { $0.isOver = true }
        for _ in 0..<workers { sem_post(wakeUps) }
    }
}

@Sendable func say(_ text: String) {
    print(text)
    fflush(nil)
}

/// On evy's threads: nothing here takes long.
@Sendable func enqueue(_ request: borrowing Request, _ milliseconds: Int, in queue: JobQueue) throws {
    let id = request.id
    guard queue.add(Job(pending: request.retain(), milliseconds: milliseconds)) else {
        return try request.respond(.serviceUnavailable, headers: ["Retry-After": "1"], body: "too busy\n")
    }
    let dropIt = { @Sendable in
        if queue.drop(id) { say("dropped a request nobody waits for") }
    }
    do throws(EvyError) {
        try request.onGone { _ in dropIt() }
    } catch {
        if error.code == .gone { dropIt() }  // it left before we asked to be told
    }
}

/// On the program's threads. Stands for a computation, or a database that takes its time; looks now and then
/// whether anybody still waits for the result.
@Sendable func finish(_ job: Job) {
    for _ in stride(from: 0, to: job.milliseconds, by: 10) {
        if job.pending.request.isGone { return say("gave up work nobody waits for") }
        usleep(10_000)
    }
    try? job.pending.request.respond(.ok, body: "worked for \(job.milliseconds) ms\n")
}

/// A thread of the program's own, to be joined.
func spawn(_ work: @escaping @Sendable () -> Void) throws -> pthread_t {
    final class Work: Sendable {
        let run: @Sendable () -> Void
        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }
    var thread = pthread_t()
    let result = pthread_create(
        &thread, nil,
        { work in
            if let work { Unmanaged<Work>.fromOpaque(work).takeRetainedValue().run() }
            return nil
        }, Unmanaged.passRetained(Work(work)).toOpaque())
    guard result == 0 else { throw EvyError(.outOfMemory, "no thread for a worker") }
    return thread
}

let arguments = CommandLine.arguments
let port = arguments.count > 1 ? UInt16(arguments[1]) ?? 8090 : 8090
let workerCount = arguments.count > 2 ? Int(arguments[2]) ?? 0 : 4
let capacity = arguments.count > 3 ? Int(arguments[3]) ?? 0 : 16
guard (1...64).contains(workerCount), (1...1000).contains(capacity) else {
    print("workers: 1 to 64 workers, a queue of 1 to 1000")
    exit(2)
}
let queue = JobQueue(capacity: capacity)

// Blocked before the first thread is made, so that only sigwait below gets them.
var signals = sigset_t()
sigemptyset(&signals)
for number in [SIGINT, SIGTERM] { sigaddset(&signals, number) }
pthread_sigmask(SIG_BLOCK, &signals, nil)

do {
    let server = try Server(on: .tcp(port: port)) { request in
        if request.path.hasPrefix("/work/") {
            // Without an answer: a worker gives it.
            return try enqueue(request, Int(request.path.dropFirst(6)) ?? 0, in: queue)
        }
        let (queued, working, _) = queue.counts
        try request.respond(.ok, body: "\(queued) queued, \(working) worked on\n")
    }
    let workers = try (0..<workerCount).map { _ in try spawn { queue.work(finish) } }
    try server.start()
    say("http://127.0.0.1:\(server.port)/")

    var number: Int32 = 0
    sigwait(&signals, &number)
    // First evy takes no more requests and waits for the answers to those it has; then the workers may go.
    server.stop(grace: .seconds(10))
    try server.wait()
    queue.end(workers: workerCount)
    for worker in workers { pthread_join(worker, nil) }
    say("ended after \(queue.counts.done) jobs")
} catch {
    print("workers: \(error)")
    exit(1)
}
