import IOLoop
import Logging

/// One life of a connection, on its loop: performs what its ``ConnectionMachine`` decides, and writes what a turn has queued.
///
/// Every method is called on the loop's thread, by the actors that share the loop or by the loop's own callbacks.
final class Session: @unchecked Sendable {
    // Proof of @unchecked Sendable: `loop`, `configuration`, `logger` are immutable; all else is touched on the loop
    // only: actors with this loop as executor hold the session, and `loop.add`, `schedule`, `atTurnEnd` check it.
    typealias Machine = ConnectionMachine<Call, ConsumerHandler>

    let loop: IOLoop
    let configuration: RabbitMQConfiguration
    let logger: Logger
    let endpoint: RabbitMQConfiguration.Endpoint
    let serverProperties: FieldTable

    /// `nil` once ended. Readers keep a reference while they are inside the library.
    private(set) var wire: Wire?
    var machine: Machine
    var output = OutputQueue()
    private(set) var channels: [UInt16: Channel] = [:]
    var onBlocked: [(String?) -> Void] = []
    private var onEnd: [(RabbitMQError) -> Void] = []

    var isFlushScheduled = false
    var isReadScheduled = false
    private var isWaitingForRoom = false
    private var hasComplained = false
    private var source: IOSource?
    private var heartbeatTimer: IOTimer?

    init(wire: Wire, loop: IOLoop, configuration: RabbitMQConfiguration, logger: Logger) {
        self.wire = wire
        self.loop = loop
        self.configuration = configuration
        self.logger = logger
        endpoint = wire.endpoint
        serverProperties = wire.serverProperties
        machine = Machine(peer: "\(wire.endpoint)", channelMax: wire.channelMax)
    }

    /// Whether it has neither ended nor been told to.
    var isAlive: Bool { machine.reason == nil }
    /// Why it has ended; nil while anything is read or written.
    var ended: RabbitMQError? { machine.ended }
    /// The broker's reason while it takes no messages (memory or disk alarm).
    var blockedReason: String? { machine.blockedReason }

    /// Begins to watch the socket. From here until the end the loop keeps the session alive.
    func start() throws(RabbitMQError) {
        guard let wire else { return }
        do {
            source = try loop.add(wire.fd, for: .readable) { ready in
                // What a turn may read has been read when there is a read to come.
                if ready.contains(.readable), !self.isReadScheduled { self.readFrames() }
                if ready.contains(.writable) { self.becameWritable() }
            }
        } catch {
            self.wire = nil
            throw RabbitMQError(.unreachable, "cannot watch the connection to \(endpoint): \(error)")
        }
        if wire.heartbeat > 0 { armHeartbeat(.milliseconds(max(250, wire.heartbeat * 250))) }
        // Frames that came with the login's answers are in the library's buffer, where no poll sees them.
        scheduleRead()
    }

    /// With TLS librabbitmq sends and checks heartbeats while it reads, so an idle connection has to be read too.
    private func armHeartbeat(_ interval: Duration) {
        heartbeatTimer = loop.schedule(after: interval) { [weak self] in
            guard let self, ended == nil else { return }
            armHeartbeat(interval)
            readFrames()
            if ended == nil, let error = wire?.beat() { end(machine.reason ?? error) }
        }
    }

    // MARK: - The end

    /// Calls `body` when the session ends; at once when it has.
    func whenEnded(_ body: @escaping (RabbitMQError) -> Void) {
        if let ended { body(ended) } else { onEnd.append(body) }
    }

    /// Ends the session: nothing touches the C connection afterwards.
    func end(_ error: RabbitMQError) {
        guard let remains = machine.end(error) else { return }
        if let source { loop.remove(source) }
        if let heartbeatTimer { loop.cancel(heartbeatTimer) }
        output.drop()
        for (number, remains) in remains { endChannel(number, error, remains) }
        let onEnd = self.onEnd
        self.onEnd = []
        for body in onEnd { body(error) }
        onBlocked = []
        wire = nil
    }

    func endChannel(_ number: UInt16, _ error: RabbitMQError, _ remains: Machine.Remains) {
        let channel = channels.removeValue(forKey: number)
        output.drop(number)
        remains.closing?.finish(.success(.ok))
        for call in remains.calls { call.finish(.failure(error)) }
        for consumer in remains.consumers { consumer.ended(error) }
        channel?.end(error)
    }

    /// Writes what is queued, says goodbye and ends with `reason`; the broker gets `limit` to answer.
    func close(_ reason: RabbitMQError, within limit: Duration = .seconds(2)) {
        guard machine.close(reason) else { return }
        scheduleFlush()
        loop.schedule(after: limit) { self.end(reason) }
    }

    /// The broker does what the protocol does not have it do, and it can be borne: told once.
    func complain(_ what: String) {
        guard !hasComplained else { return }
        hasComplained = true
        logger.error(
            "the broker breaks the protocol; the connection goes on",
            metadata: ["endpoint": "\(endpoint)", "what": "\(what)"])
    }

    // MARK: - Requests

    func openChannel(_ completion: @escaping (Result<Channel, RabbitMQError>) -> Void) {
        let epoch = Channel.newEpoch()
        do throws(RabbitMQError) {
            let number = try machine.addChannel(epoch: epoch)
            let channel = Channel(number: number, epoch: epoch)
            channels[number] = channel
            call(.channelOpen, on: number) { result in completion(result.map { _ in channel }) }
        } catch {
            completion(.failure(error))
        }
    }

    /// Sends a request and completes with its answer, the error that ended the channel, or a time-out.
    func call(
        _ method: OutboundMethod, on number: UInt16, completion: @escaping (Result<Reply, RabbitMQError>) -> Void
    ) {
        let call = Call(method.name, within: configuration.rpcTimeout, loop: loop, completion: completion)
        do throws(RabbitMQError) {
            let request = try machine.request(method, on: number, call)
            output.append(.init(method: method, channel: number, request: request))
            scheduleFlush()
        } catch {
            call.finish(.failure(error))
        }
    }

    /// Sends a method that nobody answers, such as an acknowledgement.
    func post(_ method: OutboundMethod, on number: UInt16) {
        output.append(.init(method: method, channel: number))
        scheduleFlush()
    }

    // MARK: - Readiness

    func waitForRoom() {
        guard !isWaitingForRoom, let source else { return }
        isWaitingForRoom = true
        loop.update(source, for: [.readable, .writable])
    }

    private func becameWritable() {
        guard ended == nil, isWaitingForRoom, let source else { return }
        isWaitingForRoom = false
        loop.update(source, for: .readable)
        flush()
    }
}
