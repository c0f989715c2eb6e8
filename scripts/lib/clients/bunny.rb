# Jobs from Ruby's bunny on a running worker: bunny.rb BROKER QUEUE says `ok` or why not.
require "bunny"
require "json"
require "securerandom"
require "timeout"

QUESTION = "退货政策是什么？ Größe ✓"
broker, queue = ARGV

def need(condition, what)
  abort "bunny: #{what}" unless condition
end

connection = Bunny.new(broker).start
[nil, "amq.rabbitmq.reply-to"].each do |direct|
  channel = connection.create_channel
  inbox = Queue.new
  # Direct replies come to the channel that asks, from a queue that is not declared.
  replies = direct ? channel.queue(direct, no_declare: true) : channel.queue("", exclusive: true)
  replies.subscribe(manual_ack: false) do |_, properties, body|
    inbox << [properties.type, properties.correlation_id, JSON.parse(body.force_encoding("UTF-8"))]
  end
  channel.confirm_select
  id = SecureRandom.uuid
  channel.default_exchange.publish(
    JSON.generate({ query: QUESTION, stream: true }),
    routing_key: queue, content_type: "application/json", message_id: id, correlation_id: id,
    reply_to: replies.name, priority: 9, persistent: true, headers: { "n" => -5, "nested" => { "list" => [1, "x"] } }
  )
  need(channel.wait_for_confirms, "the job was not confirmed")
  chunks = []
  Timeout.timeout(30) do
    loop do
      type, correlation, message = inbox.pop
      need(correlation == id, "correlation_id #{correlation}")
      if type == "chat.chunk"
        chunks << message["delta"]
        next
      end
      need(message["status"] == "succeeded" && message["answer"] == QUESTION, "the reply is #{message}")
      need(message["warnings"].nil?, "warnings #{message["warnings"]}")
      break
    end
  end
  need(chunks.join == QUESTION, "the chunks are #{chunks}")
  channel.close
end
connection.close
puts "ok"
