"""PostgreSQL servers with streaming replication: role, position in the log, promotion, stop and rebuild."""
