"""Who somebody is: logging in, second factors and passkeys, and being let in for the first time."""
