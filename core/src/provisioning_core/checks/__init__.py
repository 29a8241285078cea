"""Health checks: `asking` puts one question to a server, `waiting` asks until all answer or the deadline has come."""
