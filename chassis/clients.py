"""Clients: Kafka's, of which none makes a topic by asking for it, also where brokers would (`auto.create.topics.enable`).

aiokafka asks for every topic with leave to make it, and has no setting for that. The two places that ask take the request
from their module, so both are given one without that leave; FastStream's clients ask there too.
"""

from functools import partial

import aiokafka.admin.client
import aiokafka.client
from aiokafka import AIOKafkaConsumer as AIOKafkaConsumer
from aiokafka import AIOKafkaProducer as AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient as AIOKafkaAdminClient
from aiokafka.protocol.metadata import MetadataRequest

_only_asking = partial(MetadataRequest, allow_auto_topic_creation=False)
aiokafka.client.MetadataRequest = _only_asking
aiokafka.admin.client.MetadataRequest = _only_asking
