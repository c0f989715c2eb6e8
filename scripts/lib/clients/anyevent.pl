# Jobs from Perl's AnyEvent::RabbitMQ on a running worker: anyevent.pl BROKER QUEUE says `ok` or why not.
use strict;
use warnings;
use utf8;
use AnyEvent;
use AnyEvent::RabbitMQ;
use Encode qw(encode);
use JSON::PP;

my $question = "退货政策是什么？ Größe ✓";
my ($broker, $queue) = @ARGV;
my ($user, $password, $host, $port) = $broker =~ m{^amqp://([^:]*):([^@]*)@([^:]*):(\d+)} or die "no such URL: $broker\n";
binmode STDOUT, ':utf8';

sub fail { print "AnyEvent::RabbitMQ: @_\n"; exit 1 }

# Waits for what a callback gives.
sub await {
    my ($what, $begin) = @_;
    my $done  = AnyEvent->condvar;
    my $timer = AnyEvent->timer(after => 30, cb => sub { fail("$what: nothing in time") });
    $begin->($done, sub { fail("$what: " . (ref $_[0] ? encode_json([map { "$_" } %{$_[0]}]) : "$_[0]")) });
    return $done->recv;
}

my $client     = AnyEvent::RabbitMQ->new->load_xml_spec;
my $connection = await('connecting', sub {
    my ($done, $failed) = @_;
    $client->connect(
        host => $host, port => $port, user => $user, pass => $password, vhost => '/', timeout => 30,
        on_success => sub { $done->send($_[0]) }, on_failure => $failed, on_close => sub { },
    );
});
for my $direct (undef, 'amq.rabbitmq.reply-to') {
    my $channel = await('a channel', sub {
        my ($done, $failed) = @_;
        $connection->open_channel(on_success => sub { $done->send($_[0]) }, on_failure => $failed, on_close => sub { });
    });
    my $replies = $direct // await('a queue', sub {
        my ($done, $failed) = @_;
        $channel->declare_queue(
            exclusive => 1, on_success => sub { $done->send($_[0]->method_frame->queue) }, on_failure => $failed);
    });
    my $id     = join '', map { sprintf '%04x', rand 65536 } 1 .. 8;
    my $chunks = '';
    my $reply  = await('the reply', sub {
        my ($done, $failed) = @_;
        my $take = sub {
            my ($header, $body) = ($_[0]{header}, decode_json($_[0]{body}->payload));
            fail("correlation_id " . $header->correlation_id) if $header->correlation_id ne $id;
            if ($header->type eq 'chat.chunk') { $chunks .= $body->{delta} } else { $done->send($body) }
        };
        my $ask = sub {
            $channel->publish(
                exchange => '', routing_key => $queue, body => encode_json({query => $question, stream => JSON::PP::true}),
                header => {
                    content_type => 'application/json', message_id => $id, correlation_id => $id,
                    reply_to => $replies, priority => 9, delivery_mode => 2,
                });
        };
        $channel->consume(
            queue => $replies, no_ack => 1, on_consume => $take, on_success => $ask, on_failure => $failed,
            on_cancel => sub { });
    });
    fail('the reply is ' . encode_json($reply)) if $reply->{status} ne 'succeeded' || $reply->{answer} ne $question;
    fail('warnings') if $reply->{warnings};
    fail("the chunks are $chunks") if $chunks ne $question;
}
print "ok\n";
exit 0;
