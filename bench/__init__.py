"""The bench: measures a deployment of real processes, beside two yardsticks of the same run."""
