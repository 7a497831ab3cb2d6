# As Apache's image has it: CLUSTER_ID, KAFKA_HEAP_OPTS, and each KAFKA_SOME_SETTING is the broker's some.setting.
set -eu
settings=/tmp/server.properties
awk 'BEGIN {
    for (name in ENVIRON) if (name ~ /^KAFKA_/ && name !~ /_OPTS$/) {
        setting = tolower(substr(name, 7))
        gsub(/_/, ".", setting)
        print setting "=" ENVIRON[name]
    }
}' > "$settings"
run() { java ${KAFKA_HEAP_OPTS:-} -Dlog4j2.configurationFile=/opt/kafka/log4j2.properties -cp '/opt/kafka/libs/*' "$@"; }
run kafka.tools.StorageTool format --ignore-formatted --cluster-id "$CLUSTER_ID" --config "$settings"
exec java ${KAFKA_HEAP_OPTS:-} -XX:+UseSerialGC -XX:TieredStopAtLevel=1 \
    -Dlog4j2.configurationFile=/opt/kafka/log4j2.properties -cp '/opt/kafka/libs/*' kafka.Kafka "$settings"
