import com.rabbitmq.client.AMQP;
import com.rabbitmq.client.Channel;
import com.rabbitmq.client.Connection;
import com.rabbitmq.client.ConnectionFactory;
import com.rabbitmq.client.DefaultConsumer;
import com.rabbitmq.client.Envelope;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Jobs from RabbitMQ's Java client on a running worker: BROKER QUEUE says `ok` or why not. */
public final class Asker {
    private static final String QUESTION = "退货政策是什么？ Größe ✓";

    private record Message(AMQP.BasicProperties properties, String body) {}

    private static void need(boolean condition, String what) {
        if (condition) return;
        System.out.println("Java: " + what);
        System.exit(1);
    }

    private static void ask(Connection connection, String queue, String direct) throws Exception {
        Channel channel = connection.createChannel();
        String replies = direct.isEmpty() ? channel.queueDeclare().getQueue() : direct;
        var inbox = new LinkedBlockingQueue<Message>();
        channel.basicConsume(replies, true, new DefaultConsumer(channel) {
            @Override
            public void handleDelivery(String tag, Envelope envelope, AMQP.BasicProperties properties, byte[] body) {
                inbox.add(new Message(properties, new String(body, StandardCharsets.UTF_8)));
            }
        });
        channel.confirmSelect();
        String id = UUID.randomUUID().toString();
        channel.basicPublish(
            "", queue, true,
            new AMQP.BasicProperties.Builder().contentType("application/json").messageId(id).correlationId(id)
                .replyTo(replies).priority(9).deliveryMode(2)
                .headers(Map.of("n", -5L, "nested", Map.of("list", List.of(1, "x")))).build(),
            ("{\"query\":\"" + QUESTION + "\",\"stream\":true}").getBytes(StandardCharsets.UTF_8));
        channel.waitForConfirmsOrDie(30_000);
        var chunks = new StringBuilder();
        while (true) {
            Message message = inbox.poll(30, TimeUnit.SECONDS);
            need(message != null, "no reply in time");
            need(id.equals(message.properties().getCorrelationId()), "correlation_id " + message.properties().getCorrelationId());
            if ("chat.chunk".equals(message.properties().getType())) {
                Matcher delta = Pattern.compile("\"delta\":\"([^\"]*)\"").matcher(message.body());
                need(delta.find(), "a chunk is " + message.body());
                chunks.append(delta.group(1));
                continue;
            }
            need(message.body().contains("\"status\":\"succeeded\""), "the reply is " + message.body());
            need(message.body().contains("\"answer\":\"" + QUESTION + "\""), "the reply is " + message.body());
            need(!message.body().contains("\"warnings\""), "the reply is " + message.body());
            need(chunks.toString().equals(QUESTION), "the chunks are " + chunks);
            channel.close();
            return;
        }
    }

    public static void main(String[] arguments) throws Exception {
        var factory = new ConnectionFactory();
        factory.setUri(arguments[0]);
        try (Connection connection = factory.newConnection()) {
            ask(connection, arguments[1], "");
            ask(connection, arguments[1], "amq.rabbitmq.reply-to");
        }
        System.out.println("ok");
    }
}
