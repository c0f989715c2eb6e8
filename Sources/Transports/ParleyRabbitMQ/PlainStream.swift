import CRabbitMQ
import Glibc

/// The bytes of a connection without TLS: what a turn has to say leaves in one send, and what has arrived is taken in one
/// read, where librabbitmq makes a send for each frame and asks the socket twice before each read.
///
/// librabbitmq still encodes and decodes all of it. Where there is TLS it also sends and reads, because it keeps the
/// encrypted socket to itself.
struct PlainStream {
    private let fd: Int32
    private var output = UnsafeMutableRawBufferPointer.allocate(byteCount: 65_536, alignment: 16)
    private var written = 0
    private var sent = 0
    private let input = UnsafeMutableRawBufferPointer.allocate(byteCount: 131_072, alignment: 16)
    private var unread = 0..<0
    /// The last read was shorter than it could have been: the socket is empty.
    private var isDry = false
    /// What comes next is no frame's beginning, as far as is known.
    private var isMidFrame = true
    /// Quarters of a heartbeat without a byte, either way.
    private var silence = (received: 0, sent: 0)

    init(fd: Int32) { self.fd = fd }

    func free() {
        output.deallocate()
        input.deallocate()
    }

    // MARK: - Writing

    /// All that was written has left.
    var isFlushed: Bool { sent == written }

    /// Appends a frame.
    ///
    /// - Parameter size: at least what its payload takes on the wire.
    /// - Returns: librabbitmq's status.
    mutating func write(_ frame: amqp_frame_t, size: Int) -> Int32 {
        reserve(size + 64)
        let start = written
        var at = start + 7
        let status: Int32
        switch frame.frame_type {
        case Frame.method:
            put(frame.payload.method.id, &at)
            status = amqp_encode_method(frame.payload.method.id, frame.payload.method.decoded, free(at))
        case Frame.header:
            put(frame.payload.properties.class_id, &at)
            put(UInt16(0), &at)
            put(frame.payload.properties.body_size, &at)
            status = amqp_encode_properties(
                frame.payload.properties.class_id, frame.payload.properties.decoded, free(at))
        case Frame.body:
            let body = frame.payload.body_fragment.raw
            UnsafeMutableRawBufferPointer(rebasing: output[at...]).copyMemory(from: body)
            status = Int32(clamping: body.count)
        default: status = 0
        }
        guard status >= 0 else { return status }
        at += Int(status)
        output[start] = frame.frame_type
        var head = start + 1
        put(frame.channel, &head)
        put(UInt32(at - start - 7), &head)
        output[at] = 0xCE
        written = at + 1
        return 0
    }

    private mutating func reserve(_ size: Int) {
        if isFlushed { (written, sent) = (0, 0) }
        guard output.count - written < size else { return }
        let larger = UnsafeMutableRawBufferPointer.allocate(
            byteCount: max(output.count * 2, written + size), alignment: 16)
        larger.copyMemory(from: UnsafeRawBufferPointer(rebasing: output[..<written]))
        output.deallocate()
        output = larger
    }

    private func put<T: FixedWidthInteger>(_ value: T, _ at: inout Int) {
        output.storeBytes(of: value.bigEndian, toByteOffset: at, as: T.self)
        at += MemoryLayout<T>.size
    }

    private func free(_ at: Int) -> amqp_bytes_t {
        amqp_bytes_t(len: output.count - at - 1, bytes: output.baseAddress.map { $0 + at })
    }

    /// Sends what there is room for.
    /// - Returns: the error that has ended the connection, or zero.
    mutating func transmit() -> Int32 {
        while sent < written {
            let rest = UnsafeRawBufferPointer(rebasing: output[sent..<written])
            let count = Glibc.send(fd, rest.baseAddress, rest.count, Int32(MSG_DONTWAIT | MSG_NOSIGNAL))
            guard count >= 0 else {
                if errno == EINTR { continue }
                return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : errno
            }
            sent += count
            silence.sent = 0
        }
        return 0
    }

    // MARK: - Reading

    enum Reading {
        case frame
        case nothing
        /// librabbitmq's status.
        case broken(Int32)
        case closed
        /// `errno`
        case failed(Int32)
    }

    /// The next whole frame that is there, for the connection's decoder to copy out.
    mutating func next(_ state: amqp_connection_state_t, _ frame: inout amqp_frame_t) -> Reading {
        while true {
            while !unread.isEmpty {
                guard isMidFrame || input[unread.lowerBound] != Frame.header || closeDeepFields() else { break }
                let rest = UnsafeMutableRawBufferPointer(rebasing: input[unread])
                let used = amqp_handle_input(state, amqp_bytes_t(len: rest.count, bytes: rest.baseAddress), &frame)
                guard used >= 0 else { return .broken(used) }
                unread = unread.lowerBound + Int(used)..<unread.upperBound
                isMidFrame = frame.frame_type == 0
                if frame.frame_type != 0 { return .frame }
            }
            if isDry {
                isDry = false
                return .nothing
            }
            moveToFront()
            let room = UnsafeMutableRawBufferPointer(rebasing: input[unread.upperBound...])
            let count = recv(fd, room.baseAddress, room.count, Int32(MSG_DONTWAIT))
            guard count > 0 else {
                if count == 0 { return .closed }
                if errno == EINTR { continue }
                return errno == EAGAIN || errno == EWOULDBLOCK ? .nothing : .failed(errno)
            }
            unread = 0..<unread.upperBound + count
            isDry = count < room.count
            silence.received = 0
        }
    }

    /// - Returns: false when the content header that comes next has not arrived as a whole. It will fit: frames are no larger
    ///   than the buffer.
    private mutating func closeDeepFields() -> Bool {
        let head = 7
        guard unread.count >= head else { return false }
        let size = Int(
            UInt32(bigEndian: input.loadUnaligned(fromByteOffset: unread.lowerBound + 3, as: UInt32.self)))
        // One that does not fit librabbitmq is to refuse.
        guard size < input.count - head else { return true }
        guard unread.count > head + size else { return false }
        let start = unread.lowerBound + head
        DeepFields.close(in: UnsafeMutableRawBufferPointer(rebasing: input[start..<start + size]))
        return true
    }

    /// What is left of the last read, the beginning of a frame, to where the next goes on.
    private mutating func moveToFront() {
        guard unread.lowerBound > 0 else { return }
        let rest = UnsafeRawBufferPointer(rebasing: input[unread])
        input.copyMemory(from: rest)
        unread = 0..<rest.count
    }

    // MARK: - Heartbeats

    /// To be called four times a heartbeat, after reading.
    /// - Returns: false when nothing has come for two heartbeats.
    mutating func beat() -> Bool {
        silence.received += 1
        silence.sent += 1
        // Half a heartbeat: section 4.2.7 of AMQP 0-9-1 has both sides send at least each interval.
        if silence.sent > 1, isFlushed {
            var frame = amqp_frame_t()
            frame.frame_type = Frame.heartbeat
            _ = write(frame, size: 0)
        }
        return silence.received <= 8
    }
}

/// The types of AMQP's frames.
enum Frame {
    static let method: UInt8 = 1, header: UInt8 = 2, body: UInt8 = 3, heartbeat: UInt8 = 8
}
