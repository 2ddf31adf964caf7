"""What HTTP sees: the API, and the console's pages and forms.

A view loads, validates, calls one action, responds. Imports everything below `app`.
"""
