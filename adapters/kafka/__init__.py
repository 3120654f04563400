"""Kafka: events relayed to a topic, and consumers of that topic."""
