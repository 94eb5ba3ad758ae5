# In alphabetical order. The settings of the function are beside this, in settings.tf.

variable "alarm_actions" {
  description = "ARNs that are told when an alarm goes off and when it is over, such as an SNS topic."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for arn in var.alarm_actions : startswith(arn, "arn:")])
    error_message = "Each of alarm_actions must be an ARN, such as arn:aws:sns:eu-central-1:123456789012:alarms."
  }
}

variable "alarm_thresholds" {
  description = "What an alarm takes for too much within five minutes: answers 5xx, the 95th percentile of `POST /v1/jobs` in ms, throttled invocations of each function, streamed answers that broke off, refusals because of the queue, jobs given up on, jobs that failed by the workers' fault."
  type = object({
    server_errors  = optional(number, 5)
    latency_p95_ms = optional(number, 2000)
    throttles      = optional(number, 1)
    stream_errors  = optional(number, 5)
    queue_refusals = optional(number, 10)
    dead_letters   = optional(number, 1)
    jobs_failed    = optional(number, 5)
  })
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for threshold in values(var.alarm_thresholds) : threshold > 0])
    error_message = "Each of alarm_thresholds must be above 0."
  }
}

variable "api_stage_name" {
  description = "Name of API Gateway's stage: the first part of the URL's path."
  type        = string
  default     = "api"
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]{1,128}$", var.api_stage_name))
    error_message = "api_stage_name must be 1 to 128 letters, digits, '_' and '-'."
  }
}

variable "app_name" {
  description = "First half of every resource's name."
  type        = string
  default     = "lambda-router"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}$", var.app_name))
    error_message = "app_name must be 2 to 31 lower-case letters, digits and '-', and begin with a letter."
  }
}

variable "aws_region" {
  description = "Region that everything is created in."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]{2,4}(-[a-z]+)+-\\d$", var.aws_region))
    error_message = "aws_region must be a region's code, such as eu-central-1."
  }

  validation {
    condition     = !can(regex("^(cn-|us-iso|eu-iso)", var.aws_region))
    error_message = "aws_region is in a partition where AWS has no Cognito user pools (AWS China and the isolated regions): there is no pool whose tokens could be checked."
  }
}

variable "custom_domain" {
  description = "A domain of your own for the API: its name, the ACM certificate for it in the stack's region, one segment of path before the API's own paths (empty: none), and the Route 53 zone that gets the record. certificate_arn null: the domain is there already, and only the path is added. zone_id null: DNS stays yours, and output domain_target says where the record must lead."
  type = object({
    name            = string
    certificate_arn = optional(string)
    base_path       = optional(string, "")
    zone_id         = optional(string)
  })
  default = null

  validation {
    condition     = var.custom_domain == null ? true : can(regex("^([a-z0-9]([a-z0-9-]*[a-z0-9])?\\.)+[a-z]{2,}$", var.custom_domain.name))
    error_message = "custom_domain.name must be a whole domain name in lower case, such as api.example.com: no https://, no path, no wildcard."
  }

  validation {
    condition     = try(var.custom_domain.certificate_arn, null) == null ? true : can(regex("^arn:aws[a-z-]*:acm:${var.aws_region}:[0-9]{12}:certificate/[0-9a-f-]+$", var.custom_domain.certificate_arn))
    error_message = "custom_domain.certificate_arn must be the ARN of an ACM certificate in the stack's own region (aws_region), since the domain is regional; null where another stack made the domain."
  }

  validation {
    condition     = var.custom_domain == null ? true : can(regex("^([A-Za-z0-9][A-Za-z0-9._-]*)?$", var.custom_domain.base_path)) && !contains(["ping", "sping"], lower(var.custom_domain.base_path))
    error_message = "custom_domain.base_path must be empty or one segment of letters, digits, '.', '_' and '-' that begins with a letter or digit, without '/', and not ping or sping, which API Gateway keeps for itself."
  }

  validation {
    condition     = try(var.custom_domain.zone_id, null) == null ? true : can(regex("^[A-Z0-9]{1,32}$", var.custom_domain.zone_id)) && var.custom_domain.certificate_arn != null
    error_message = "custom_domain.zone_id must be the id of a Route 53 zone, such as Z0123456789ABCDEFGHIJ, and needs certificate_arn: who makes the domain makes its record."
  }
}

variable "default_endpoint" {
  description = "Whether the API also answers at the address that API Gateway gave it; false needs custom_domain."
  type        = bool
  default     = true
  nullable    = false

  validation {
    condition     = var.default_endpoint || var.custom_domain != null
    error_message = "default_endpoint may be false only with custom_domain: the API would answer nowhere."
  }
}

variable "kms_key_arn" {
  description = "ARN of the KMS key for log groups, variables of the function; AWS's own keys where null. Its policy must let CloudWatch Logs use it."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null || can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/", var.kms_key_arn))
    error_message = "kms_key_arn must be null or the ARN of a key (not of an alias)."
  }
}

variable "log_retention_days" {
  description = "Days that log lines are kept."
  type        = number
  default     = 365
  nullable    = false

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "log_retention_days must be one of the numbers that CloudWatch knows: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731 …"
  }
}

variable "memory_size" {
  description = "MB of memory; its share of the processor grows with it."
  type        = number
  default     = 512
  nullable    = false

  validation {
    condition     = var.memory_size >= 256 && var.memory_size <= 10240 && floor(var.memory_size) == var.memory_size
    error_message = "memory_size must be a whole number from 256 to 10240."
  }
}

variable "method_metrics" {
  description = "Whether API Gateway also counts requests, errors and latency for each method (detailed CloudWatch metrics). They cost as custom metrics do. The alarms and the dashboard need only those of the stage and of the function, which are always there."
  type        = bool
  default     = false
  nullable    = false
}

variable "move_alias" {
  description = "Whether callers get the new version with this very apply; false: the alias stays, and `make release` moves it by and by. False needs a stack that serves already."
  type        = bool
  default     = true
  nullable    = false
}

variable "permissions_boundary_arn" {
  description = "ARN of the policy that bounds the function's role; terraform/bootstrap makes it, and its deploy role may make no role without."
  type        = string
  default     = null

  validation {
    condition     = var.permissions_boundary_arn == null || can(regex("^arn:aws[a-z-]*:iam::([0-9]{12}|aws):policy/", var.permissions_boundary_arn))
    error_message = "permissions_boundary_arn must be null or the ARN of a policy."
  }
}

variable "redis_kms_key_arn" {
  description = "ARN of the KMS key that the parameter with the Redis URL is encrypted with; null where it is AWS's own key, aws/ssm."
  type        = string
  default     = null

  validation {
    condition     = var.redis_kms_key_arn == null || can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/", var.redis_kms_key_arn))
    error_message = "redis_kms_key_arn must be null or the ARN of a key (not of an alias)."
  }
}

variable "reserved_concurrency" {
  description = "Most executions at once; each has one connection to Redis, and two once it has served live output; -1: no limit of its own, which an account with a quota below 1000 may need."
  type        = number
  default     = 50
  nullable    = false

  validation {
    condition     = var.reserved_concurrency == -1 || (var.reserved_concurrency >= 1 && var.reserved_concurrency <= 1000)
    error_message = "reserved_concurrency must be -1 or 1 to 1000."
  }
}

variable "snap_start" {
  description = "Whether new environments begin from a snapshot of an initialised one. Costs money for each published version that is kept."
  type        = bool
  default     = false
  nullable    = false
}

variable "stage_name" {
  description = "Second half of every resource's name: which stack this is, such as prod."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,19}$", var.stage_name))
    error_message = "stage_name must be 1 to 20 lower-case letters, digits and '-', and begin with a letter."
  }

  validation {
    condition     = !can(regex("(^|-)stream$", var.stage_name))
    error_message = "stage_name may not end with 'stream': another stack's function for streaming could have that name."
  }
}

variable "stream_reserved_concurrency" {
  description = "Most requests to the OpenAI API at once, streams and held ones included; each may have two connections to Redis. -1: no limit of its own. See reserved_concurrency."
  type        = number
  default     = 50
  nullable    = false

  validation {
    condition     = var.stream_reserved_concurrency == -1 || (var.stream_reserved_concurrency >= 1 && var.stream_reserved_concurrency <= 1000)
    error_message = "stream_reserved_concurrency must be -1 or 1 to 1000."
  }
}

variable "streaming" {
  description = "Whether the OpenAI API has a function of its own, the streaming function; false: the first function answers it, and refuses `stream: true`."
  type        = bool
  default     = true
  nullable    = false
}

variable "tags" {
  description = "Tags on everything, beside Application, Stage and ManagedBy."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for key in keys(var.tags) : !startswith(lower(key), "aws:")])
    error_message = "AWS keeps tags that begin with 'aws:' for itself."
  }
}

variable "throttling_burst_limit" {
  description = "Requests that API Gateway lets through at once, from all callers together."
  type        = number
  default     = 100
  nullable    = false

  validation {
    condition     = var.throttling_burst_limit >= 1 && var.throttling_burst_limit <= 5000
    error_message = "throttling_burst_limit must be 1 to 5000."
  }
}

variable "throttling_rate_limit" {
  description = "Requests a second that API Gateway lets through, from all callers together."
  type        = number
  default     = 50
  nullable    = false

  validation {
    condition     = var.throttling_rate_limit >= 1 && var.throttling_rate_limit <= 10000
    error_message = "throttling_rate_limit must be 1 to 10000."
  }
}

variable "timeout" {
  description = "Seconds after which Lambda stops the function. API Gateway answers 504 after 29."
  type        = number
  default     = 29
  nullable    = false

  validation {
    condition     = var.timeout >= 12 && var.timeout <= 29
    error_message = "timeout must be 12 to 29: `Prefer: wait` holds an answer for 20 seconds, or for 2 less than the timeout where that is fewer, and after 29 API Gateway has gone."
  }
}

variable "tracing" {
  description = "Whether X-Ray traces requests in the gateway and the functions. Below a request a second it traces nearly all of them, which then costs more than API Gateway does: docs/cost.md."
  type        = bool
  default     = false
  nullable    = false
}

variable "vpc_config" {
  description = "Subnets and security groups of the function, where Redis is in a VPC; the subnets need a way to SSM, and cognito_jwks the pool's keys unless there is a NAT gateway."
  type = object({
    subnet_ids         = list(string)
    security_group_ids = list(string)
  })
  default = null

  validation {
    condition     = var.vpc_config == null ? true : length(var.vpc_config.subnet_ids) >= 1 && length(var.vpc_config.security_group_ids) >= 1
    error_message = "vpc_config must be null, or name at least one subnet and one security group."
  }
}

variable "waits_cap" {
  description = "ROUTER_WAITS_CAP: Requests that `Prefer: wait` may hold at once, of all callers together; null: four fifths of reserved_concurrency, and 8 where that is -1. The streaming function has four fifths of stream_reserved_concurrency, and 8 where that is -1."
  type        = number
  default     = null

  validation {
    condition     = var.waits_cap == null ? true : var.waits_cap >= 0 && var.waits_cap <= 1000 && floor(var.waits_cap) == var.waits_cap
    error_message = "waits_cap must be null or a whole number from 0 to 1000."
  }

  validation {
    condition     = var.waits_cap == null || var.reserved_concurrency == -1 ? true : var.waits_cap < var.reserved_concurrency
    error_message = "waits_cap must be below reserved_concurrency: requests that are held would leave no execution for any other."
  }
}

variable "warm_schedule" {
  description = "How often a made-up GET /health keeps one environment awake, as EventBridge writes it; empty: never."
  type        = string
  default     = "rate(5 minutes)"
  nullable    = false

  validation {
    condition     = var.warm_schedule == "" || can(regex("^(rate|cron)\\(.+\\)$", var.warm_schedule))
    error_message = "warm_schedule must be empty, rate(…) or cron(…)."
  }
}
