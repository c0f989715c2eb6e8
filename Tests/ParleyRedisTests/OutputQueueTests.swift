import Testing

@testable import ParleyRedis

@Suite struct OutputQueueTests {
    @Test func whatIsAppendedComesOutInOrderWhateverThePieces() {
        var queue = OutputQueue(limit: 1 << 30)
        var (next, taken) = (UInt8(0), UInt8(0))
        for round in 0..<50 {
            queue.append { bytes in
                for _ in 0..<(round * 307 % 7_000) {
                    bytes.append(next)
                    next &+= 1
                }
            }
            let size = queue.withNext(round * 97 % 6_000) { piece in
                for byte in piece {
                    #expect(byte == taken)
                    taken &+= 1
                }
                return piece.count
            }
            queue.drop(size)
        }
        #expect(!queue.isEmpty)
    }

    @Test func aServerThatReadsSlowlyAndNeverToTheEndDoesNotGrowIt() {
        var queue = OutputQueue(limit: 64 << 20)
        let command = [UInt8](repeating: 1, count: 10_000)
        queue.append { $0 += command }
        for _ in 0..<20_000 {
            queue.append { $0 += command }
            queue.drop(queue.withNext(command.count) { $0.count })
            #expect(queue.count == command.count)
        }
        #expect(queue.footprint < 4 << 20, "200 MB have gone through it: \(queue.footprint)")
    }

    @Test func aBurstLeavesNoMemoryBehind() {
        var queue = OutputQueue(limit: 64 << 20)
        queue.append { $0 += [UInt8](repeating: 1, count: 60 << 20) }
        while queue.count > 1_000 { queue.drop(queue.withNext(min(256 << 10, queue.count - 1_000)) { $0.count }) }
        #expect(queue.footprint < 8 << 20, "\(queue.footprint)")
        queue.drop(1_000)
        #expect(queue.footprint <= 1 << 20)
    }

    @Test func roomIsWhatTheLimitLeaves() {
        var queue = OutputQueue(limit: 100)
        #expect(queue.hasRoom(for: 100))
        #expect(!queue.hasRoom(for: 101))
        queue.append { $0 += [UInt8](repeating: 1, count: 60) }
        #expect(queue.hasRoom(for: 40))
        #expect(!queue.hasRoom(for: 41))
        #expect(!queue.hasRoom(for: .max))
        queue.drop(20)
        #expect(queue.hasRoom(for: 60))
    }
}
