require_relative "snippet"

NAMES = %w[webhook-id webhook-timestamp webhook-signature].freeze

$stdin.each_line(chomp: true) do |line|
  secret, *values, body = line.split(":", -1)
  headers = NAMES.zip(values).reject { |_, value| value == "-" }
                 .to_h { |name, value| [name, value.unpack1("m0").force_encoding("UTF-8")] }
  begin
    verify(secret.unpack1("m0"), headers, body.unpack1("m0"))
    puts "accepted"
  rescue StandardError => e
    puts "refused #{e.class}"
  end
end
