"""What is pure, or asks the clock only, and serves several packages.

Imports nothing of the platform.
"""
