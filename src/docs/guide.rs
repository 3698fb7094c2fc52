#![doc = include_str!("guide/contents.md")]

#[doc = include_str!("guide/first_bus.md")]
pub mod first_bus {}

#[doc = include_str!("guide/overload.md")]
pub mod overload {}

#[doc = include_str!("guide/shutdown.md")]
pub mod shutdown {}

#[doc = include_str!("guide/async_services.md")]
pub mod async_services {}

#[doc = include_str!("guide/history.md")]
pub mod history {}

#[doc = include_str!("guide/sources.md")]
pub mod sources {}

#[doc = include_str!("guide/director.md")]
pub mod director {}

#[doc = include_str!("guide/production.md")]
pub mod production {}

#[doc = include_str!("guide/request_telemetry.md")]
pub mod request_telemetry {}

#[doc = include_str!("guide/audit_events.md")]
pub mod audit_events {}

#[doc = include_str!("guide/live_feed.md")]
pub mod live_feed {}

#[doc = include_str!("guide/webhooks.md")]
pub mod webhooks {}
