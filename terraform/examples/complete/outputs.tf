locals {
  worker_url = one(concat(module.valkey[*].parameters.worker_redis_url, module.elasticache[*].worker_redis_url_parameter))
  # A server with an authority of its own is trusted by a file.
  authority = join("", [for name in module.valkey[*].parameters.redis_authority : <<-EOT
    aws ssm get-parameter --region ${var.aws_region} --name ${name} --query Parameter.Value --output text >authority.pem
  EOT
  ])
  trusting = length(module.valkey) > 0 ? "?ssl_ca_certs=$PWD/authority.pem" : ""

  # No secret is an argument of a program, where every process could read it: curl reads them from its standard input.
  token = <<-EOT
    client=${module.cognito.machine_client_id}
    token=$(aws cognito-idp describe-user-pool-client --region ${var.aws_region} --user-pool-id ${module.cognito.id} \
      --client-id "$client" --query UserPoolClient.ClientSecret --output text | sed "s/.*/user = \"$client:&\"/" |
      curl -fsS --config - -d grant_type=client_credentials ${module.cognito.token_url} |
      sed 's/.*"access_token": *"\([^"]*\)".*/\1/')
    : "$${token:?is missing: see above why Cognito gave none}"
  EOT

  first_job = <<-EOT
    set -eu
    ${length(module.valkey) > 0 ? "make -s wait-valkey FOLDER=terraform/examples/complete" : ":"}
    ${local.token}
    printf 'Authorization: Bearer %s\n' "$token" | curl -fsS -i -H @- -H 'Content-Type: application/json' \
      -d '{"type": "generate", "input": {"prompt": "Say hello.", "max_tokens": 8}}' ${module.stack.api_url}/v1/jobs
  EOT

  # The list has the newest job first, and the response with a single job waits for its result.
  first_answer = <<-EOT
    set -eu
    ${local.token}
    job=$(printf 'Authorization: Bearer %s\n' "$token" | curl -fsS -H @- '${module.stack.api_url}/v1/jobs?limit=1' |
      grep -o 'job_[0-9a-f]*' | head -n 1)
    printf 'Authorization: Bearer %s\n' "$token" |
      curl -fsS -H @- -H 'Prefer: wait=20' -w '\n' "${module.stack.api_url}/v1/jobs/$job"
  EOT

  worker_command = <<-EOT
    set -eu
    umask 077
    mkdir -p ~/.config/lambda-router
    cd ~/.config/lambda-router
    ${indent(4, local.authority)}
    url=$(aws ssm get-parameter --region ${var.aws_region} --name ${local.worker_url} --with-decryption --query Parameter.Value --output text)
    printf %s "$url${local.trusting}" >redis-url
    exec lambda-router-worker --redis-url-file redis-url --queue ${var.queue} --stack ${local.name} \
      --backend ${var.model_server} --model ${var.model}
  EOT
}

output "api_url" {
  description = "Where callers find the API."
  value       = module.stack.api_url
}

output "first_answer" {
  description = "Commands that get a token and show the newest job with its result: terraform output -raw first_answer | sh, anywhere."
  value       = local.first_answer
}

output "first_job" {
  description = "Commands that wait for Redis, get a token and send a job: terraform output -raw first_job | sh, at the root of the repository."
  value       = local.first_job
}

output "jwks_url" {
  description = "Where the pool's signing keys are, for variable cognito_jwks."
  value       = "${module.cognito.issuer}/.well-known/jwks.json"
}

output "login_client_id" {
  description = "Id of the client for people at a command line. No secret."
  value       = module.cognito.login_client_id
}

output "machine_client_id" {
  description = "Id of the client for programs. AWS tells an administrator its secret."
  value       = module.cognito.machine_client_id
}

output "pages_client_id" {
  description = "Id of the client of the API's own pages. No secret."
  value       = module.pages_client.client_id
}

# Not secret: marked so that an apply does not print all of it.
output "stack" {
  description = "All outputs of the stack; make verify, smoke, outputs and rollback read them."
  value       = module.stack
  sensitive   = true
}

output "stack_variables" {
  description = "What the stack was given; make doctor reads it."
  value       = local.stack
}

output "token_url" {
  description = "Where clients get their tokens."
  value       = module.cognito.token_url
}

output "valkey_wait_for" {
  description = "What make wait-valkey waits for; null with elasticache."
  value       = one(module.valkey[*].wait_for)
}

output "worker_command" {
  description = "Commands that fetch the worker's URL into a file and run a worker, for the box, which needs the AWS CLI and lambda-router-worker."
  value       = local.worker_command
}
