/** What a deployed bundle has in place of @upstash/core-analytics: @upstash/ratelimit asks for it, and here never uses it. */
export class Analytics {}
