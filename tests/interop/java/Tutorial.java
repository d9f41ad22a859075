import com.rabbitmq.client.AMQP;
import com.rabbitmq.client.Channel;
import com.rabbitmq.client.Connection;
import com.rabbitmq.client.ConnectionFactory;
import com.rabbitmq.client.DefaultConsumer;
import com.rabbitmq.client.Envelope;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;

/** Tutorial six on RabbitMQ's Java client: `server QUEUE quorum|transient` or `client QUEUE N`, at AMQP_URL. */
public class Tutorial {
    static long fib(int n) {
        long a = 0, b = 1;
        for (; n > 0; n--) {
            long sum = a + b;
            a = b;
            b = sum;
        }
        return a;
    }

    static void serve(Channel channel, String queue, boolean quorum) throws IOException {
        Map<String, Object> arguments = quorum ? Map.of("x-queue-type", "quorum") : null;
        channel.queueDeclare(queue, quorum, false, false, arguments);
        channel.basicQos(1);
        channel.basicConsume(queue, false, new DefaultConsumer(channel) {
            @Override
            public void handleDelivery(String tag, Envelope envelope, AMQP.BasicProperties request, byte[] body)
                    throws IOException {
                String n = new String(body, StandardCharsets.UTF_8);
                AMQP.BasicProperties reply =
                    new AMQP.BasicProperties.Builder().correlationId(request.getCorrelationId()).build();
                byte[] result = String.valueOf(fib(Integer.parseInt(n))).getBytes(StandardCharsets.UTF_8);
                channel.basicPublish("", request.getReplyTo(), reply, result);
                channel.basicAck(envelope.getDeliveryTag(), false);
            }
        });
        System.out.println(" [x] Awaiting RPC requests");
    }

    static void call(Channel channel, String queue, String n) throws IOException, InterruptedException {
        String replies = channel.queueDeclare().getQueue();
        String id = UUID.randomUUID().toString();
        BlockingQueue<String> got = new ArrayBlockingQueue<>(1);
        channel.basicConsume(replies, true, new DefaultConsumer(channel) {
            @Override
            public void handleDelivery(String tag, Envelope envelope, AMQP.BasicProperties reply, byte[] body) {
                if (id.equals(reply.getCorrelationId())) got.offer(new String(body, StandardCharsets.UTF_8));
            }
        });
        AMQP.BasicProperties request =
            new AMQP.BasicProperties.Builder().correlationId(id).replyTo(replies).build();
        channel.basicPublish("", queue, request, n.getBytes(StandardCharsets.UTF_8));
        System.out.println(" [.] Got '" + got.take() + "'");
    }

    public static void main(String[] args) throws Exception {
        ConnectionFactory factory = new ConnectionFactory();
        factory.setUri(System.getenv("AMQP_URL"));
        Connection connection = factory.newConnection();
        Channel channel = connection.createChannel();
        if (args[0].equals("server")) {
            serve(channel, args[1], args[2].equals("quorum"));
        } else {
            call(channel, args[1], args[2]);
            connection.close();
        }
    }
}
