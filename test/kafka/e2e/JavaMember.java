import java.time.Duration;
import java.util.Collection;
import java.util.List;
import java.util.Properties;
import java.util.stream.Collectors;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.WakeupException;
import org.apache.kafka.common.serialization.StringDeserializer;

/** A member by Java's client, for tests of groups that have members of both. Arguments: the topic, then key=value settings. */
public class JavaMember {
    static String indices(Collection<TopicPartition> partitions) {
        return partitions.stream().map(TopicPartition::partition).sorted().map(String::valueOf)
            .collect(Collectors.joining(","));
    }

    public static void main(String[] arguments) {
        var settings = new Properties();
        for (var at = 1; at < arguments.length; at++) {
            var setting = arguments[at].split("=", 2);
            settings.put(setting[0], setting[1]);
        }
        settings.put("enable.auto.commit", "false");
        try (var consumer = new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer())) {
            var main = Thread.currentThread();
            Runtime.getRuntime().addShutdownHook(new Thread(() -> {
                consumer.wakeup();
                try {
                    main.join();
                } catch (InterruptedException stopped) {
                    Thread.currentThread().interrupt();
                }
            }));
            consumer.subscribe(List.of(arguments[0]), new ConsumerRebalanceListener() {
                @Override
                public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
                    System.out.println("revoked " + indices(partitions));
                }

                @Override
                public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
                    System.out.println("assigned " + indices(partitions));
                }
            });
            while (true) {
                for (var record : consumer.poll(Duration.ofMillis(100))) {
                    System.out.println("handled " + record.value());
                }
                consumer.commitSync();
            }
        } catch (WakeupException ended) {
            System.out.println("ended");
        }
    }
}
