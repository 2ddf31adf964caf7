"""Listeners: endpoints whose deliveries a program fetches and reports on, such as `avra listen`.

No worker sends what is due at one. A request of the program claims it as a worker would, gets it signed, and
another one says what the program's own server answered; both go through the worker's code. A listener that is
not heard of for a while ends.
"""
