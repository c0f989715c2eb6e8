<?php
// Jobs from php-amqplib on a running worker: amqplib.php BROKER QUEUE says `ok` or why not.
require_once 'PhpAmqpLib/autoload.php';

use PhpAmqpLib\Connection\AMQPStreamConnection;
use PhpAmqpLib\Message\AMQPMessage;
use PhpAmqpLib\Wire\AMQPTable;

const QUESTION = '退货政策是什么？ Größe ✓';
[, $broker, $queue] = $argv;

function need($condition, $what)
{
    if (!$condition) {
        echo "php-amqplib: $what\n";
        exit(1);
    }
}

$url = parse_url($broker);
$connection = new AMQPStreamConnection($url['host'], $url['port'], $url['user'], $url['pass']);
foreach (['', 'amq.rabbitmq.reply-to'] as $direct) {
    $channel = $connection->channel();
    $channel->confirm_select();
    $replies = $direct ?: $channel->queue_declare('', false, false, true, true)[0];
    $id = bin2hex(random_bytes(16));
    [$chunks, $reply] = ['', null];
    $channel->basic_consume($replies, '', false, true, false, false, function ($message) use ($id, &$chunks, &$reply) {
        need($message->get('correlation_id') === $id, 'correlation_id ' . $message->get('correlation_id'));
        $body = json_decode($message->body, true);
        if ($message->get('type') === 'chat.chunk') {
            $chunks .= $body['delta'];
        } else {
            $reply = $body;
        }
    });
    // As PHP writes empty arrays: [] where JSON has {}.
    $job = ['query' => QUESTION, 'stream' => true, 'options' => [], 'metadata' => []];
    $channel->basic_publish(new AMQPMessage(json_encode($job), [
        'content_type' => 'application/json', 'message_id' => $id, 'correlation_id' => $id, 'reply_to' => $replies,
        'priority' => 9, 'delivery_mode' => AMQPMessage::DELIVERY_MODE_PERSISTENT,
        'application_headers' => new AMQPTable(['n' => -5, 'nested' => ['list' => [1, 'x']]]),
    ]), '', $queue);
    $channel->wait_for_pending_acks(30);
    while ($reply === null) {
        $channel->wait(null, false, 30);
    }
    need($reply['status'] === 'succeeded' && $reply['answer'] === QUESTION, 'the reply is ' . json_encode($reply));
    need(!isset($reply['warnings']), 'warnings ' . json_encode($reply['warnings'] ?? null));
    need($chunks === QUESTION, "the chunks are $chunks");
    $channel->close();
}
$connection->close();
echo "ok\n";
