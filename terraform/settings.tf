# Written by `make settings` from chalicelib/settings.py; edits here are lost. Rules that only Terraform checks
# are in tools/docs/terraform.py. In alphabetical order.

variable "cognito_aud" {
  description = "COGNITO_AUD: Ids of the app clients whose tokens are accepted, comma-separated: the `client_id` claim."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[0-9A-Za-z_+]+( *, *[0-9A-Za-z_+]+)*$", var.cognito_aud))
    error_message = "cognito_aud must be one or more ids of app clients, comma-separated."
  }
}

variable "cognito_aud_parameter" {
  description = "COGNITO_AUD_PARAMETER: Name of the SSM parameter with the ids of further app clients, comma-separated; read when a token names one that `COGNITO_AUD` lacks, and kept for five minutes. The parameter may be made after the stage."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = var.cognito_aud_parameter == "" || can(regex("^/?[\\w./-]+$", var.cognito_aud_parameter))
    error_message = "cognito_aud_parameter must match ^/?[\\w./-]+$, such as /lambda-router/prod/pages-client."
  }

  validation {
    condition     = var.cognito_aud_parameter == "" || startswith(var.cognito_aud_parameter, "/")
    error_message = "cognito_aud_parameter must begin with '/', such as /lambda-router/prod/pages-client: its ARN is derived from it. A client's id does not belong here."
  }
}

variable "cognito_domain" {
  description = "COGNITO_DOMAIN: Origin of the user pool's domain, at which the pages of `ROUTER_DOCS` let people sign in. Unset: the pages take a token instead."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = var.cognito_domain == "" || can(regex("^https://[a-z0-9.-]+$", var.cognito_domain))
    error_message = "cognito_domain must be empty or an https origin in lower case, such as https://team.auth.eu-central-1.amazoncognito.com."
  }
}

variable "cognito_issuer" {
  description = "COGNITO_ISSUER: Values of the `iss` claim that are taken beside the pool's own two, comma-separated: such as the issuer of the pool's replica in another region. The first is where people sign in."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = var.cognito_issuer == "" || alltrue([for each in split(",", var.cognito_issuer) : startswith(trimspace(each), "https://")])
    error_message = "cognito_issuer must be empty or comma-separated https URLs."
  }

  validation {
    condition     = alltrue([for each in split(",", var.cognito_issuer) : !can(regex("^https://(issuer-)?cognito-idp[.]", trimspace(each))) || endswith(trimspace(each), "/${var.cognito_user_pool_id}")])
    error_message = "cognito_issuer names another pool than cognito_user_pool_id: a Cognito issuer ends with the pool's id."
  }
}

variable "cognito_jwks" {
  description = "COGNITO_JWKS: Where the signing keys are: a URL, a file, or the JWKS itself as JSON (for a function in a VPC without a way out). Where unset: `/.well-known/jwks.json` of the issuers."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = !startswith(var.cognito_jwks, "http://")
    error_message = "cognito_jwks must not be fetched without TLS: write an https URL, a path or JSON."
  }

  validation {
    condition     = !startswith(trimspace(var.cognito_jwks), "{") || can(jsondecode(var.cognito_jwks))
    error_message = "cognito_jwks begins with '{' but is not JSON."
  }
}

variable "cognito_login_client_id" {
  description = "COGNITO_LOGIN_CLIENT_ID: Id of the public app client with which people sign in, by `lambda-router login`: the address of the API leads there. Its tokens are accepted like those of `COGNITO_AUD`. Unset: people cannot sign in so."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = var.cognito_login_client_id == "" || can(regex("^[\\w+]{1,128}$", var.cognito_login_client_id))
    error_message = "cognito_login_client_id must match ^[\\w+]{1,128}$, such as 2h68lg6dqr28n1fnm23EXAMPLE."
  }
}

variable "cognito_region" {
  description = "COGNITO_REGION: Region of the user pool; `AWS_REGION` where unset. Must be the one in the pool's id."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = var.cognito_region == "" || startswith(var.cognito_user_pool_id, "${var.cognito_region}_")
    error_message = "cognito_region must be empty or the region that cognito_user_pool_id begins with."
  }

  validation {
    condition     = var.cognito_region != "" || var.cognito_issuer != "" || startswith(var.cognito_user_pool_id, "${var.aws_region}_")
    error_message = "The user pool is in another region than aws_region: set cognito_region to the one that cognito_user_pool_id begins with."
  }
}

variable "cognito_user_pool_arn" {
  description = "COGNITO_USER_POOL_ARN: ARN of the user pool for API Gateway's own authorizer. Empty only in stage `local`, where our own check of the token stands alone. Read when Chalice packages the app."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^arn:aws[a-z-]*:cognito-idp:[a-z0-9-]+:[0-9]{12}:userpool/", var.cognito_user_pool_arn))
    error_message = "cognito_user_pool_arn must look like arn:aws:cognito-idp:eu-central-1:123456789012:userpool/eu-central-1_AbCdEf123."
  }

  validation {
    condition     = endswith(var.cognito_user_pool_arn, ":userpool/${var.cognito_user_pool_id}")
    error_message = "cognito_user_pool_arn must end with cognito_user_pool_id: API Gateway and the function would use different pools."
  }
}

variable "cognito_user_pool_id" {
  description = "COGNITO_USER_POOL_ID: Id of the Cognito user pool whose access tokens are accepted."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]{2,4}(-[a-z]+)+-\\d_[0-9A-Za-z]{1,55}$", var.cognito_user_pool_id))
    error_message = "cognito_user_pool_id must match ^[a-z]{2,4}(-[a-z]+)+-\\d_[0-9A-Za-z]{1,55}$, such as eu-central-1_AbCdEf123."
  }

  validation {
    condition     = !can(regex("^(cn-|us-iso|eu-iso)", var.cognito_user_pool_id))
    error_message = "cognito_user_pool_id is in a partition where AWS has no Cognito user pools (AWS China and the isolated regions): there is no pool whose tokens could be checked."
  }
}

variable "redis_ca_parameter" {
  description = "REDIS_CA_PARAMETER: Name of the SSM parameter with the certificates (PEM) of your own authority: with a `rediss` URL it alone is trusted. Read with the URL, and again when the server's certificate is not trusted."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = var.redis_ca_parameter == "" || can(regex("^/?[\\w./-]+$", var.redis_ca_parameter))
    error_message = "redis_ca_parameter must match ^/?[\\w./-]+$, such as /lambda-router/prod/redis-authority."
  }

  validation {
    condition     = var.redis_ca_parameter == "" || startswith(var.redis_ca_parameter, "/")
    error_message = "redis_ca_parameter must begin with '/', such as /lambda-router/prod/redis-authority: its ARN is derived from it. The certificate does not belong here."
  }
}

variable "redis_url_parameter" {
  description = "REDIS_URL_PARAMETER: Name of the SSM SecureString that holds the Redis URL; read once per process, never logged."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^/?[\\w./-]+$", var.redis_url_parameter))
    error_message = "redis_url_parameter must match ^/?[\\w./-]+$, such as /lambda-router/prod/redis-url."
  }

  validation {
    condition     = startswith(var.redis_url_parameter, "/")
    error_message = "redis_url_parameter must begin with '/', such as /lambda-router/prod/redis-url: its ARN is derived from it. The URL itself does not belong here."
  }
}

variable "router_caller_bytes_cap" {
  description = "ROUTER_CALLER_BYTES_CAP: Bytes that one caller's jobs may take in a queue, waiting and kept, results included; above: 429."
  type        = number
  default     = 67108864
  nullable    = false

  validation {
    condition     = var.router_caller_bytes_cap >= 4194304 && var.router_caller_bytes_cap <= 1099511627776 && floor(var.router_caller_bytes_cap) == var.router_caller_bytes_cap
    error_message = "router_caller_bytes_cap must be a whole number from 4194304 to 1099511627776."
  }
}

variable "router_caller_waits_cap" {
  description = "ROUTER_CALLER_WAITS_CAP: Requests of one caller that each function holds or streams at a time."
  type        = number
  default     = 8
  nullable    = false

  validation {
    condition     = var.router_caller_waits_cap >= 0 && var.router_caller_waits_cap <= 1000 && floor(var.router_caller_waits_cap) == var.router_caller_waits_cap
    error_message = "router_caller_waits_cap must be a whole number from 0 to 1000."
  }
}

variable "router_delayed_percent" {
  description = "ROUTER_DELAYED_PERCENT: Part of `ROUTER_QUEUE_CAP` that jobs with `delay_seconds` may fill before their time has come, in percent; above: 503."
  type        = number
  default     = 50
  nullable    = false

  validation {
    condition     = var.router_delayed_percent >= 1 && var.router_delayed_percent <= 100 && floor(var.router_delayed_percent) == var.router_delayed_percent
    error_message = "router_delayed_percent must be a whole number from 1 to 100."
  }
}

variable "router_docs" {
  description = "ROUTER_DOCS: Whether the API serves its pages: the playground at `/`, and Swagger UI at `/docs`. In stage `local` they are on unless this is `false`. Read when Chalice packages the app."
  type        = string
  default     = "false"
  nullable    = false

  validation {
    condition     = contains(["true", "false"], var.router_docs)
    error_message = "router_docs must be one of true, false."
  }
}

variable "router_events_seconds" {
  description = "ROUTER_EVENTS_SECONDS: Seconds for which the live output of a job can be read again once the job is final, but never longer than the job."
  type        = number
  default     = 600
  nullable    = false

  validation {
    condition     = var.router_events_seconds >= 60 && var.router_events_seconds <= 86400 && floor(var.router_events_seconds) == var.router_events_seconds
    error_message = "router_events_seconds must be a whole number from 60 to 86400."
  }
}

variable "router_idempotency_seconds" {
  description = "ROUTER_IDEMPOTENCY_SECONDS: Seconds for which an `Idempotency-Key` is remembered."
  type        = number
  default     = 86400
  nullable    = false

  validation {
    condition     = var.router_idempotency_seconds >= 60 && var.router_idempotency_seconds <= 604800 && floor(var.router_idempotency_seconds) == var.router_idempotency_seconds
    error_message = "router_idempotency_seconds must be a whole number from 60 to 604800."
  }
}

variable "router_image_hosts" {
  description = "ROUTER_IMAGE_HOSTS: Hosts from which a chat's images may come, comma-separated; unset: images as data URLs only. The model server fetches such an image, inside the network that it is in."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = var.router_image_hosts == "" || can(regex("^[a-z0-9.-]+( *, *[a-z0-9.-]+)*$", var.router_image_hosts))
    error_message = "router_image_hosts must be empty or names of hosts in lower case, comma-separated."
  }
}

variable "router_job_attempts" {
  description = "ROUTER_JOB_ATTEMPTS: Attempts at a job before it fails."
  type        = number
  default     = 3
  nullable    = false

  validation {
    condition     = var.router_job_attempts >= 1 && var.router_job_attempts <= 20 && floor(var.router_job_attempts) == var.router_job_attempts
    error_message = "router_job_attempts must be a whole number from 1 to 20."
  }

  validation {
    condition     = var.router_job_attempts * (var.router_job_timeout_seconds + 3600) <= 86400
    error_message = "router_job_attempts times (router_job_timeout_seconds + 3600) must be at most 86400: a job may take at most a day."
  }
}

variable "router_job_timeout_seconds" {
  description = "ROUTER_JOB_TIMEOUT_SECONDS: Seconds that one attempt at a job may take. With its pauses, a job may run for a day: attempts times (this + 3,600) is at most 86,400."
  type        = number
  default     = 300
  nullable    = false

  validation {
    condition     = var.router_job_timeout_seconds >= 1 && var.router_job_timeout_seconds <= 43200 && floor(var.router_job_timeout_seconds) == var.router_job_timeout_seconds
    error_message = "router_job_timeout_seconds must be a whole number from 1 to 43200."
  }
}

variable "router_job_types" {
  description = "ROUTER_JOB_TYPES: What differs for single job types, as JSON: for each `timeout_seconds`, `attempts`, `retry_first_seconds`, `retry_longest_seconds` and `ttl_seconds`, in the same bounds."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = var.router_job_types == "" || can(merge(values(jsondecode(var.router_job_types))...))
    error_message = "router_job_types must be empty or JSON such as {\"generate\": {\"timeout_seconds\": 900, \"attempts\": 2}}."
  }

  validation {
    condition     = var.router_job_types == "" || length(setsubtract(flatten([for terms in try(values(jsondecode(var.router_job_types)), []) : try(keys(terms), [])]), ["timeout_seconds", "attempts", "retry_first_seconds", "retry_longest_seconds", "ttl_seconds"])) == 0
    error_message = "router_job_types may set only timeout_seconds, attempts, retry_first_seconds, retry_longest_seconds, ttl_seconds for a job type."
  }
}

variable "router_kms_key_id" {
  description = "ROUTER_KMS_KEY_ID: KMS key that encrypts inputs and results in Redis: ARN of a key or alias, or `alias/<name>`."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = var.router_kms_key_id == "" || can(regex("^(arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:(key|alias)/[0-9A-Za-z/_-]+|alias/[0-9A-Za-z/_-]+)$", var.router_kms_key_id))
    error_message = "router_kms_key_id must match ^(arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:(key|alias)/[0-9A-Za-z/_-]+|alias/[0-9A-Za-z/_-]+)$, such as arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab."
  }

  validation {
    condition     = var.router_kms_key_id == "" || can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/", var.router_kms_key_id))
    error_message = "router_kms_key_id must be empty or the ARN of a key (not of an alias): the role's permission names it."
  }
}

variable "router_log_level" {
  description = "ROUTER_LOG_LEVEL: Minimum log level."
  type        = string
  default     = "INFO"
  nullable    = false

  validation {
    condition     = contains(["DEBUG", "INFO", "WARNING", "ERROR"], var.router_log_level)
    error_message = "router_log_level must be one of DEBUG, INFO, WARNING, ERROR."
  }
}

variable "router_max_batch_bytes" {
  description = "ROUTER_MAX_BATCH_BYTES: Bytes that the body of a batch may have, not below `ROUTER_MAX_BODY_BYTES`; above: 413."
  type        = number
  default     = 2097152
  nullable    = false

  validation {
    condition     = var.router_max_batch_bytes >= 1024 && var.router_max_batch_bytes <= 2097152 && floor(var.router_max_batch_bytes) == var.router_max_batch_bytes
    error_message = "router_max_batch_bytes must be a whole number from 1024 to 2097152."
  }

  validation {
    condition     = var.router_max_batch_bytes >= var.router_max_body_bytes
    error_message = "router_max_batch_bytes must not be below router_max_body_bytes: a batch could not hold such a job."
  }
}

variable "router_max_body_bytes" {
  description = "ROUTER_MAX_BODY_BYTES: Bytes that the body of one job may have; above: 413. Lambda takes 6 MB of event, in which the body is a JSON string that may need two bytes for one."
  type        = number
  default     = 1048576
  nullable    = false

  validation {
    condition     = var.router_max_body_bytes >= 1024 && var.router_max_body_bytes <= 2097152 && floor(var.router_max_body_bytes) == var.router_max_body_bytes
    error_message = "router_max_body_bytes must be a whole number from 1024 to 2097152."
  }
}

variable "router_max_chat_bytes" {
  description = "ROUTER_MAX_CHAT_BYTES: Bytes that the messages, tools and `response_format` of a chat may have together as JSON, not above `ROUTER_MAX_BODY_BYTES`."
  type        = number
  default     = 524288
  nullable    = false

  validation {
    condition     = var.router_max_chat_bytes >= 1 && var.router_max_chat_bytes <= 2097152 && floor(var.router_max_chat_bytes) == var.router_max_chat_bytes
    error_message = "router_max_chat_bytes must be a whole number from 1 to 2097152."
  }

  validation {
    condition     = var.router_max_chat_bytes <= var.router_max_body_bytes
    error_message = "router_max_chat_bytes must not exceed router_max_body_bytes: such an input would not fit into a body."
  }
}

variable "router_max_prompt_bytes" {
  description = "ROUTER_MAX_PROMPT_BYTES: Bytes of UTF-8 that `prompt`, and that `system`, may have, not above `ROUTER_MAX_BODY_BYTES`."
  type        = number
  default     = 6144
  nullable    = false

  validation {
    condition     = var.router_max_prompt_bytes >= 1 && var.router_max_prompt_bytes <= 2097152 && floor(var.router_max_prompt_bytes) == var.router_max_prompt_bytes
    error_message = "router_max_prompt_bytes must be a whole number from 1 to 2097152."
  }

  validation {
    condition     = var.router_max_prompt_bytes <= var.router_max_body_bytes
    error_message = "router_max_prompt_bytes must not exceed router_max_body_bytes: such an input would not fit into a body."
  }
}

variable "router_max_tokens" {
  description = "ROUTER_MAX_TOKENS: Most that a job may ask for as `max_tokens`; 256 where it asks for none. They have to be made within `ROUTER_JOB_TIMEOUT_SECONDS`."
  type        = number
  default     = 4096
  nullable    = false

  validation {
    condition     = var.router_max_tokens >= 256 && var.router_max_tokens <= 1000000 && floor(var.router_max_tokens) == var.router_max_tokens
    error_message = "router_max_tokens must be a whole number from 256 to 1000000."
  }
}

variable "router_models" {
  description = "ROUTER_MODELS: Models that callers may name, comma-separated: `name` or `name=queue`. Without a queue it is `ROUTER_QUEUE`; unset: one model, named like `ROUTER_QUEUE`."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = var.router_models == "" || can(regex("^[0-9A-Za-z][0-9A-Za-z._/:@+-]*(=[a-z0-9-]+)?( *, *[0-9A-Za-z][0-9A-Za-z._/:@+-]*(=[a-z0-9-]+)?)*$", var.router_models))
    error_message = "router_models must be empty or models such as tinyllama,phi-3=phi: name or name=queue, comma-separated."
  }
}

variable "router_newcomers_percent" {
  description = "ROUTER_NEWCOMERS_PERCENT: Part of each cap of a queue that only callers without an open job may use, in percent. With `ROUTER_QUEUE_CAP` at 10,000 and 10 here, the last 1,000 places are theirs."
  type        = number
  default     = 10
  nullable    = false

  validation {
    condition     = var.router_newcomers_percent >= 0 && var.router_newcomers_percent <= 50 && floor(var.router_newcomers_percent) == var.router_newcomers_percent
    error_message = "router_newcomers_percent must be a whole number from 0 to 50."
  }
}

variable "router_open_jobs_cap" {
  description = "ROUTER_OPEN_JOBS_CAP: Open jobs that one caller may have in a queue; above: 429."
  type        = number
  default     = 100
  nullable    = false

  validation {
    condition     = var.router_open_jobs_cap >= 1 && var.router_open_jobs_cap <= 1000000 && floor(var.router_open_jobs_cap) == var.router_open_jobs_cap
    error_message = "router_open_jobs_cap must be a whole number from 1 to 1000000."
  }
}

variable "router_plain_text" {
  description = "ROUTER_PLAIN_TEXT: What becomes of a result that is not encrypted although `ROUTER_KMS_KEY_ID` is set. Whoever can write to Redis can forge one, so `accepted` is for the day on which the key is first set."
  type        = string
  default     = "refused"
  nullable    = false

  validation {
    condition     = contains(["refused", "accepted"], var.router_plain_text)
    error_message = "router_plain_text must be one of refused, accepted."
  }
}

variable "router_queue" {
  description = "ROUTER_QUEUE: Queue of the job types that do not name one."
  type        = string
  default     = "tinyllama"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{0,62}$", var.router_queue))
    error_message = "router_queue must match ^[a-z0-9][a-z0-9-]{0,62}$, such as tinyllama."
  }
}

variable "router_queue_bytes_cap" {
  description = "ROUTER_QUEUE_BYTES_CAP: Bytes that all jobs of one queue may take, waiting and kept, results included; above: 503. Redis needs about half as much again."
  type        = number
  default     = 536870912
  nullable    = false

  validation {
    condition     = var.router_queue_bytes_cap >= 4194304 && var.router_queue_bytes_cap <= 1099511627776 && floor(var.router_queue_bytes_cap) == var.router_queue_bytes_cap
    error_message = "router_queue_bytes_cap must be a whole number from 4194304 to 1099511627776."
  }
}

variable "router_queue_cap" {
  description = "ROUTER_QUEUE_CAP: Open jobs that a queue may hold: waiting, delayed, waiting for a retry or running; above: 503."
  type        = number
  default     = 10000
  nullable    = false

  validation {
    condition     = var.router_queue_cap >= 1 && var.router_queue_cap <= 10000000 && floor(var.router_queue_cap) == var.router_queue_cap
    error_message = "router_queue_cap must be a whole number from 1 to 10000000."
  }
}

variable "router_rate_burst" {
  description = "ROUTER_RATE_BURST: Jobs that one caller may send at once before the rate applies."
  type        = number
  default     = 20
  nullable    = false

  validation {
    condition     = var.router_rate_burst >= 1 && var.router_rate_burst <= 100000 && floor(var.router_rate_burst) == var.router_rate_burst
    error_message = "router_rate_burst must be a whole number from 1 to 100000."
  }
}

variable "router_rate_per_minute" {
  description = "ROUTER_RATE_PER_MINUTE: Jobs that one caller may send per minute, sustained; above: 429."
  type        = number
  default     = 60
  nullable    = false

  validation {
    condition     = var.router_rate_per_minute >= 1 && var.router_rate_per_minute <= 100000 && floor(var.router_rate_per_minute) == var.router_rate_per_minute
    error_message = "router_rate_per_minute must be a whole number from 1 to 100000."
  }
}

variable "router_retry_first_seconds" {
  description = "ROUTER_RETRY_FIRST_SECONDS: Longest pause before the second attempt; it doubles with each further one."
  type        = number
  default     = 2
  nullable    = false

  validation {
    condition     = var.router_retry_first_seconds >= 0 && var.router_retry_first_seconds <= 3600 && floor(var.router_retry_first_seconds) == var.router_retry_first_seconds
    error_message = "router_retry_first_seconds must be a whole number from 0 to 3600."
  }
}

variable "router_retry_longest_seconds" {
  description = "ROUTER_RETRY_LONGEST_SECONDS: Longest pause before any attempt, unless the model server asks for more."
  type        = number
  default     = 60
  nullable    = false

  validation {
    condition     = var.router_retry_longest_seconds >= 0 && var.router_retry_longest_seconds <= 3600 && floor(var.router_retry_longest_seconds) == var.router_retry_longest_seconds
    error_message = "router_retry_longest_seconds must be a whole number from 0 to 3600."
  }

  validation {
    condition     = var.router_retry_longest_seconds >= var.router_retry_first_seconds
    error_message = "router_retry_longest_seconds must not be below router_retry_first_seconds."
  }
}

variable "router_scope" {
  description = "ROUTER_SCOPE: Scope that a token must carry. Read when Chalice packages the app, too."
  type        = string
  default     = "lambda-router/jobs"
  nullable    = false

  validation {
    condition     = can(regex("^[^\\s\"\\\\]+$", var.router_scope))
    error_message = "router_scope must match ^[^\\s\"\\\\]+$, such as lambda-router/jobs."
  }
}

variable "router_store_result_seconds" {
  description = "ROUTER_STORE_RESULT_SECONDS: Seconds for which a final job can be fetched."
  type        = number
  default     = 86400
  nullable    = false

  validation {
    condition     = var.router_store_result_seconds >= 60 && var.router_store_result_seconds <= 604800 && floor(var.router_store_result_seconds) == var.router_store_result_seconds
    error_message = "router_store_result_seconds must be a whole number from 60 to 604800."
  }
}

variable "router_stream_seconds" {
  description = "ROUTER_STREAM_SECONDS: Seconds that the OpenAI API may take over one response where responses are streamed. Where they are not, it holds a response for at most 25."
  type        = number
  default     = 300
  nullable    = false

  validation {
    condition     = var.router_stream_seconds >= 30 && var.router_stream_seconds <= 900 && floor(var.router_stream_seconds) == var.router_stream_seconds
    error_message = "router_stream_seconds must be a whole number from 30 to 900."
  }

  validation {
    condition     = !var.streaming || var.router_stream_seconds <= 890
    error_message = "router_stream_seconds must not exceed 890 with streaming: Lambda stops the function after 900 seconds, and the response needs some to end as an error."
  }
}

variable "router_token_leeway_seconds" {
  description = "ROUTER_TOKEN_LEEWAY_SECONDS: Seconds by which clocks may differ when a token's times are checked."
  type        = number
  default     = 10
  nullable    = false

  validation {
    condition     = var.router_token_leeway_seconds >= 0 && var.router_token_leeway_seconds <= 60 && floor(var.router_token_leeway_seconds) == var.router_token_leeway_seconds
    error_message = "router_token_leeway_seconds must be a whole number from 0 to 60."
  }
}

variable "router_ttl_seconds" {
  description = "ROUTER_TTL_SECONDS: Seconds that a job may wait to be started if its caller sends no `ttl_seconds`."
  type        = number
  default     = 300
  nullable    = false

  validation {
    condition     = var.router_ttl_seconds >= 10 && var.router_ttl_seconds <= 86400 && floor(var.router_ttl_seconds) == var.router_ttl_seconds
    error_message = "router_ttl_seconds must be a whole number from 10 to 86400."
  }
}
