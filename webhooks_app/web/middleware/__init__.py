"""What each request and each answer passes on its way, whatever it is about."""
