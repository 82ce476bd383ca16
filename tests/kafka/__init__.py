"""Apache Kafka as the tests see it: a broker of their own, and a client that is not ours."""
