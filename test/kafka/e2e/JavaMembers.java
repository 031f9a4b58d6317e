import java.time.Duration;
import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Scanner;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.Collectors;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.CooperativeStickyAssignor;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.RangeAssignor;
import org.apache.kafka.clients.consumer.RoundRobinAssignor;
import org.apache.kafka.common.Cluster;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.RebalanceInProgressException;
import org.apache.kafka.common.serialization.StringDeserializer;

/**
 * Members by Java's client, for tests of groups that have members of both. Lines on standard input, with tabs in between:
 * "join", a name, a topic and key=value settings; or "leave" and a name. On standard output each line begins with the
 * member's name. It ends with its standard input.
 */
public class JavaMembers implements Runnable {
    /** What a message takes. */
    static final int HANDLE_MS = 2;

    static final Map<String, Class<?>> ASSIGNORS = Map.of(
        "range", Range.class, "roundrobin", RoundRobin.class, "cooperative-sticky", CooperativeSticky.class);

    final String topic;
    final Properties settings;
    volatile boolean leaving = false;

    JavaMembers(String topic, Properties settings) {
        this.topic = topic;
        this.settings = settings;
    }

    /** Each member is a thread that has its name. */
    static void say(String event) {
        System.out.println(Thread.currentThread().getName() + " " + event);
    }

    static String indices(Collection<TopicPartition> partitions) {
        return partitions.stream().map(TopicPartition::partition).sorted().map(String::valueOf)
            .collect(Collectors.joining(","));
    }

    // Kafka's own, which say so when they are asked: that is when this member leads the group.

    public static class Range extends RangeAssignor {
        @Override
        public GroupAssignment assign(Cluster cluster, GroupSubscription members) {
            say("leads " + members.groupSubscription().size());
            return super.assign(cluster, members);
        }
    }

    public static class RoundRobin extends RoundRobinAssignor {
        @Override
        public GroupAssignment assign(Cluster cluster, GroupSubscription members) {
            say("leads " + members.groupSubscription().size());
            return super.assign(cluster, members);
        }
    }

    public static class CooperativeSticky extends CooperativeStickyAssignor {
        @Override
        public GroupAssignment assign(Cluster cluster, GroupSubscription members) {
            say("leads " + members.groupSubscription().size());
            return super.assign(cluster, members);
        }
    }

    @Override
    public void run() {
        try (var consumer = new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer())) {
            consumer.subscribe(List.of(topic), new ConsumerRebalanceListener() {
                @Override
                public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
                    consumer.commitSync();
                    say("revoked " + indices(partitions));
                }

                @Override
                public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
                    say("assigned " + indices(partitions));
                }

                @Override
                public void onPartitionsLost(Collection<TopicPartition> partitions) {
                    say("lost " + indices(partitions));
                }
            });
            var isCommitted = true;
            while (!leaving || !isCommitted) {
                for (var record : consumer.poll(Duration.ofMillis(50))) {
                    Thread.sleep(HANDLE_MS);
                    say("handled " + record.partition() + " " + record.offset() + " " + record.value());
                }
                try {
                    consumer.commitSync();
                    isCommitted = true;
                } catch (RebalanceInProgressException rebalance) {
                    // The next poll goes on with the rebalance, and what was handled is committed after it.
                    isCommitted = false;
                }
            }
        } catch (Exception failure) {
            failure.printStackTrace();
            say("failed " + failure);
            return;
        }
        say("ended");
    }

    public static void main(String[] arguments) {
        var members = new ConcurrentHashMap<String, JavaMembers>();
        var commands = new Scanner(System.in);
        while (commands.hasNextLine()) {
            var command = commands.nextLine().split("\t");
            if (command[0].equals("leave")) {
                members.get(command[1]).leaving = true;
                continue;
            }
            var settings = new Properties();
            for (var at = 3; at < command.length; at++) {
                var setting = command[at].split("=", 2);
                settings.put(setting[0], setting[1]);
            }
            settings.put("enable.auto.commit", "false");
            settings.put("max.poll.records", "20");
            settings.computeIfPresent("partition.assignment.strategy",
                (key, names) -> Arrays.stream(((String) names).split(",")).map(ASSIGNORS::get).toList());
            var member = new JavaMembers(command[2], settings);
            members.put(command[1], member);
            new Thread(member, command[1]).start();
        }
        Runtime.getRuntime().halt(0);
    }
}
