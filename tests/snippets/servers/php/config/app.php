<?php

return [
    'env' => 'production',
    'timezone' => 'UTC',
    'providers' => [
        Illuminate\Filesystem\FilesystemServiceProvider::class,
        Illuminate\View\ViewServiceProvider::class,
    ],
];
