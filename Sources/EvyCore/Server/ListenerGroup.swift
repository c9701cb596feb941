// SPDX-License-Identifier: MIT
// ListenerGroup - opens the sockets of a configuration, and gives each loop of the server its own share.
// Room: Server. Why: docs/decisions/0006-several-loops.md.

/// All loops accept from the same sockets, each through a descriptor of its own, which it may close when it
/// likes.
enum ListenerGroup {
    /// For each loop the listeners in the order of the configuration.
    static func open(_ configuration: Configuration, loopCount: Int) throws(ServerError) -> [[Listener]] {
        let options = configuration.options
        let backlog = Int32(clamping: options.backlog)
        let requiresProxy = options.proxyProtocol == .require
        var loops = [[Listener]](repeating: [], count: loopCount)
        for listener in configuration.listeners {
            do throws(SocketError) {
                let socket: BoundSocket
                let traits: ListenAddress.Traits
                switch listener.source {
                case .address(let address):
                    socket = try Sockets.listen(address, backlog: backlog, reusePort: options.reusePort)
                    traits = address.traits
                case .descriptor(let adopted):
                    let backlog = adopted.traits.backlog ?? backlog
                    socket = BoundSocket(
                        descriptor: try Sockets.adopt(adopted.descriptor, backlog: backlog), isAdopted: true)
                    traits = adopted.traits
                }
                let first = Listener(
                    socket, tls: listener.tls, takesProxyHeader: traits.takesProxyHeader ?? requiresProxy)
                loops[0].append(first)
                for index in loops.indices.dropFirst() { loops[index].append(try first.duplicate()) }
            } catch {
                throw ServerError(kind: .bind, text: error.text)
            }
        }
        return loops
    }
}
