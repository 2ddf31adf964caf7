"""What several packages share: pure rules, and the little that asks the clock, a mail server or the instance.

Imports nothing of the platform.
"""
