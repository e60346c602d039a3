<?php
// Sends one message by PHP's own streams; no package and no extension is needed.
//
//   php examples/php-streams.php

$url = getenv('POSTERN_URL') ?: 'http://localhost:8080';
$token = getenv('POSTERN_TOKEN') ?: 'sandbox-token-for-development';

$message = [
    'from' => 'Shop <shop@example.com>',
    'to' => 'ben@example.com',
    'subject' => 'Your order is on its way',
    'text' => 'It should arrive on Thursday.',
];
$context = stream_context_create(['http' => [
    'method' => 'POST',
    'header' => [
        "Authorization: Bearer $token",
        'Content-Type: application/json',
        'Idempotency-Key: order-22-shipped',
    ],
    'content' => json_encode($message, JSON_THROW_ON_ERROR),
    'timeout' => 30,
    'ignore_errors' => true, // The answer to a failure is read as well.
]]);
$body = file_get_contents("$url/v1/messages", false, $context);
if ($body === false) {
    exit(1);
}
$answer = json_decode($body, true, flags: JSON_THROW_ON_ERROR);
if (!isset($answer['messageId'])) {
    fwrite(STDERR, "{$answer['code']} ({$answer['delivery']}): {$answer['detail']}\n");
    exit(1);
}
echo "Sent as {$answer['messageId']}\n";
