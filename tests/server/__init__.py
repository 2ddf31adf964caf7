"""Tests of the HTTP server: deadlines, limits, restarts, long polls, over real sockets."""
