<?php

// A warning of the snippet's is a failure, as in frameworks.
set_error_handler(fn (int $level, string $message) => throw new ErrorException($message));
require 'snippet.php';

while (($line = fgets(STDIN)) !== false) {
    $fields = explode(':', rtrim($line, "\n"));
    $headers = [];
    foreach (['webhook-id', 'webhook-timestamp', 'webhook-signature'] as $index => $name) {
        if ($fields[$index + 1] !== '-') {
            $headers[$name] = base64_decode($fields[$index + 1]);
        }
    }
    try {
        verify(base64_decode($fields[0]), $headers, base64_decode($fields[4]));
        echo "accepted\n";
    } catch (Throwable $error) {
        echo 'refused ', get_class($error), "\n";
    }
}
