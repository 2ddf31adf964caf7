"""The execution options by which a connection says what its transactions are; each database takes its own."""

# Whether a transaction is to write; None: there is none. SQLite says so at its begin.
WRITES = "writes"
# Whether it cannot wait long for the lock. Of SQLite.
HAS_SHORT_TIMEOUT = "has_short_lock_timeout"
# Whether no transaction begins where the session is the connection's own. Of PostgreSQL.
AUTOCOMMITS = "autocommits"
# Whether its commit returns only once it is on disk, whatever the engine's others do. Of PostgreSQL.
WAITS_FOR_DISK = "waits_for_disk"
# Whether its statements take their time. Of PostgreSQL.
HAS_NO_TIME_LIMIT = "has_no_time_limit"
