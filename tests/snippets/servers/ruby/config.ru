require "logger"
require "action_controller/railtie"

class Site < Rails::Application
  config.load_defaults Rails::VERSION::STRING.to_f
  config.root = __dir__
  config.eager_load = false
  config.secret_key_base = "nothing here is secret"
  config.logger = Logger.new($stdout)
  routes.append { post "/webhooks", to: "webhooks#create" }
end

Site.initialize!
run Site
