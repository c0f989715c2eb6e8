import IOLoop

extension Session {
    // MARK: - Reading

    func scheduleRead() {
        guard !isReadScheduled, ended == nil else { return }
        isReadScheduled = true
        loop.atTurnEnd {
            self.isReadScheduled = false
            self.readFrames()
        }
    }

    /// The most that one turn of the loop reads: a flood must not hold up the others on it, heartbeats among them.
    private static let framesPerTurn = 4096
    static let bytesPerTurn = 1 << 20

    /// Takes in the frames that are there, as many as a turn may read.
    func readFrames() {
        guard let wire else { return }
        var frames = 0
        var bytes = 0
        reading: while ended == nil, frames < Self.framesPerTurn, bytes < Self.bytesPerTurn {
            let reading = wire.next { frame in
                if let action = machine.received(frame) { perform(action, wire) }
            }
            switch reading {
            case .frame(let size):
                frames += 1
                bytes += size
            case .nothing: break reading
            // A broker that has been told goodbye may hang up without another word.
            case .lost(let error): end(error.code == .connectionLost ? machine.reason ?? error : error)
            }
        }
        // What the library has in its own buffer no poll sees.
        if frames == Self.framesPerTurn || bytes >= Self.bytesPerTurn { scheduleRead() }
        for channel in channels.values { channel.inbox?.wake() }
    }

    private func perform(_ action: Machine.Action, _ wire: Wire) {
        switch action {
        case .deliver(let consumer, let delivery): consumer.deliver(delivery)
        case .confirmed(let channel, let tag, let multiple, let accepted):
            channels[channel]?.publishing?.confirm(tag, multiple: multiple, accepted: accepted)
        case .returned(let channel, let delivery, let bodySize, let code, let reason):
            channels[channel]?.publishing?.returned(delivery, bodySize: bodySize, code: code, reason: reason)
        case .answer(let call, let reply): call.finish(.success(reply))
        case .agree(let method, let channel): post(method, on: channel)
        case .consumerEnded(let consumer, let error, let channel, let answer):
            if let answer { post(answer, on: channel) }
            consumer.ended(error)
        case .channelEnded(let channel, let error, let remains, let answer):
            // The number is free again only when the broker has our answer, which leaves before any later open.
            if let answer { post(answer, on: channel) }
            endChannel(channel, error, remains)
        case .blocked(let reason):
            for body in onBlocked { body(reason) }
            if reason == nil { scheduleFlush() }
        case .complain(let what): complain(what)
        case .end(let error, let answer):
            if let answer, isReady(wire) {
                _ = wire.send(answer, on: 0, room: wire.largestWrite)
                _ = wire.push()
            }
            end(error)
        }
    }

    // MARK: - Writing

    func scheduleFlush() {
        guard !isFlushScheduled, ended == nil else { return }
        isFlushScheduled = true
        loop.atTurnEnd { self.flush() }
    }

    func flush() {
        isFlushScheduled = false
        guard let wire, ended == nil else { return }
        for _ in 0..<4 {
            guard isReady(wire) else { return }
            var allowance = Allowance(sendBuffer: wire.sendBuffer, largestWrite: wire.largestWrite)
            wire.cork(true)
            let hasMore = write(wire, &allowance)
            guard ended == nil else { return }
            wire.cork(false)
            if !hasMore {
                if isReady(wire), wire.hasUnread { scheduleRead() }
                return
            }
        }
        scheduleFlush()
    }

    /// Whether a batch may be written. If not, the session waits for the socket, or has ended.
    private func isReady(_ wire: Wire) -> Bool {
        switch wire.push() {
        case .sent: return true
        case .noRoom, .inexpressible: waitForRoom()
        case .lost(let error): end(error)
        }
        return false
    }

    /// True when there is more to write than was allowed.
    private func write(_ wire: Wire, _ allowance: inout Allowance) -> Bool {
        guard writeContent(wire, &allowance) else { return true }
        while let item = output.next() {
            guard write(item, wire, &allowance), allowance.isLeft else { return ended == nil }
        }
        for channel in channels.values {
            guard writeMessages(of: channel, wire, &allowance), writeSettlements(of: channel, wire, &allowance) else {
                return ended == nil
            }
        }
        if machine.saysGoodbye() { _ = done(wire.send(.connectionClose, on: 0, room: allowance.room), &allowance) }
        return false
    }

    /// Whether it has left, and the connection is well.
    private func done(_ sending: Wire.Sending, _ allowance: inout Allowance) -> Bool {
        switch sending {
        case .sent(let size):
            allowance.spend(size)
            return true
        case .noRoom, .inexpressible: return false
        case .lost(let error):
            end(error)
            return false
        }
    }

    /// False when it has to wait for room, or the connection is over.
    private func write(_ item: OutputQueue.Item, _ wire: Wire, _ allowance: inout Allowance) -> Bool {
        guard machine.mayWrite(item.method, on: item.channel) else { return true }
        let sending = wire.send(item.method, on: item.channel, room: allowance.room)
        switch sending {
        case .noRoom: output.putBack(item)
        case .inexpressible(let error):
            if let request = item.request { machine.withdraw(request, on: item.channel)?.finish(.failure(error)) }
            return true
        case .sent, .lost: break
        }
        return done(sending, &allowance)
    }

    /// False when the body is not through.
    private func writeContent(_ wire: Wire, _ allowance: inout Allowance) -> Bool {
        while output.isInContent {
            guard allowance.isLeft, let fragment = output.nextFragment(atMost: wire.largestFragment) else {
                return false
            }
            let sending = fragment.body.withUnsafeBytes { body in
                wire.send(UnsafeRawBufferPointer(rebasing: body[fragment.range]), on: fragment.channel)
            }
            guard done(sending, &allowance) else { return false }
        }
        return true
    }

    private func writeMessages(of channel: Channel, _ wire: Wire, _ allowance: inout Allowance) -> Bool {
        guard let publishing = channel.publishing, blockedReason == nil else { return true }
        while let message = publishing.next() {
            let sending = wire.send(message, on: channel.number, room: allowance.room)
            switch sending {
            case .sent:
                output.begin(message.body, on: channel.number)
                publishing.wrote(message)
            case .noRoom: publishing.putBack(message)
            case .inexpressible(let error):
                publishing.refused(message, error)
                continue
            case .lost: publishing.wrote(message)
            }
            guard done(sending, &allowance), writeContent(wire, &allowance), allowance.isLeft else { return false }
        }
        return true
    }

    private func writeSettlements(of channel: Channel, _ wire: Wire, _ allowance: inout Allowance) -> Bool {
        guard let inbox = channel.inbox else { return true }
        while allowance.isLeft {
            let method: OutboundMethod
            switch inbox.nextSettlement() {
            case .acknowledge(let number, let multiple)?: method = .ack(number, multiple: multiple)
            case .reject(let number, let requeue)?: method = .reject(number, requeue: requeue)
            case nil: return true
            }
            guard done(wire.send(method, on: channel.number, room: allowance.room), &allowance) else { return false }
        }
        return false
    }
}
