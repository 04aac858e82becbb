//! Probes, and what is to be done when a container starts and before it stops.

use super::GRACE_SECONDS;
use super::containers::check_port_name;
use crate::field_error::{FieldErrors, FieldPath};
use crate::pb::k8s::core::v1::{
    Container, ExecAction, HttpGetAction, Lifecycle, LifecycleHandler, PodSpec, Probe, TcpSocketAction,
};
use crate::pb::k8s::util::v1::IntOrString;

/// Fills in what is not given.
pub(super) fn default(probe: &mut Probe) {
    for (field, value) in [
        (&mut probe.timeout_seconds, 1),
        (&mut probe.period_seconds, 10),
        (&mut probe.success_threshold, 1),
        (&mut probe.failure_threshold, 3),
    ] {
        if *field == 0 {
            *field = value;
        }
    }
    if let Some(get) = probe.handler.as_mut().and_then(|handler| handler.http_get.as_mut()) {
        default_get(get);
    }
}

pub(super) fn default_lifecycle(lifecycle: &mut Lifecycle) {
    for handler in [&mut lifecycle.post_start, &mut lifecycle.pre_stop].into_iter().flatten() {
        if let Some(get) = &mut handler.http_get {
            default_get(get);
        }
    }
}

fn default_get(get: &mut HttpGetAction) {
    for (field, value) in [(&mut get.path, "/"), (&mut get.scheme, "HTTP")] {
        if field.is_empty() {
            value.clone_into(field);
        }
    }
}

/// An init container that ends is not looked at while it runs.
pub(super) fn forbid(container: &Container, path: &FieldPath, errors: &mut FieldErrors) {
    for (field, given) in [
        ("lifecycle", container.lifecycle.is_some()),
        ("livenessProbe", container.liveness_probe.is_some()),
        ("readinessProbe", container.readiness_probe.is_some()),
        ("startupProbe", container.startup_probe.is_some()),
    ] {
        if given {
            errors.forbidden(path.field(field), "is for init containers with `restartPolicy: Always` only");
        }
    }
}

pub(super) fn validate(container: &Container, spec: &PodSpec, path: &FieldPath, errors: &mut FieldErrors) {
    let grace = spec.termination_grace_period_seconds.unwrap_or(GRACE_SECONDS);
    if let Some(lifecycle) = &container.lifecycle {
        let path = path.field("lifecycle");
        for (field, handler) in [("postStart", &lifecycle.post_start), ("preStop", &lifecycle.pre_stop)] {
            if let Some(handler) = handler {
                validate_hook(handler, grace, &path.field(field), errors);
            }
        }
    }
    for (field, probe) in [
        ("livenessProbe", &container.liveness_probe),
        ("readinessProbe", &container.readiness_probe),
        ("startupProbe", &container.startup_probe),
    ] {
        if let Some(probe) = probe {
            validate_probe(probe, field, &path.field(field), errors);
        }
    }
}

fn validate_probe(probe: &Probe, kind: &str, path: &FieldPath, errors: &mut FieldErrors) {
    let handler = probe.handler.clone().unwrap_or_default();
    let mut handlers = Handlers::new(path, errors);
    handlers.exec(handler.exec.as_ref());
    handlers.http_get(handler.http_get.as_ref());
    handlers.tcp_socket(handler.tcp_socket.as_ref());
    if let Some(grpc) = &handler.grpc {
        let path = handlers.next("grpc");
        if !(1..=i32::from(u16::MAX)).contains(&grpc.port) {
            handlers.errors.invalid(path.field("port"), grpc.port, PORT);
        }
    }
    handlers.finish("exec, httpGet, tcpSocket or grpc");
    for (field, value) in [
        ("initialDelaySeconds", probe.initial_delay_seconds),
        ("timeoutSeconds", probe.timeout_seconds),
        ("periodSeconds", probe.period_seconds),
        ("successThreshold", probe.success_threshold),
        ("failureThreshold", probe.failure_threshold),
    ] {
        if value < 0 {
            errors.invalid(path.field(field), value, "is too few; the least is 0");
        }
    }
    let ready = kind == "readinessProbe";
    if !ready && probe.success_threshold > 1 {
        let must = "must be 1: only readiness is to be shown again and again";
        errors.invalid(path.field("successThreshold"), probe.success_threshold, must);
    }
    if let Some(seconds) = probe.termination_grace_period_seconds {
        let path = path.field("terminationGracePeriodSeconds");
        if seconds <= 0 {
            errors.invalid(path.clone(), seconds, "is too few; the least is 1");
        }
        if ready {
            errors.invalid(path, seconds, "is not for readinessProbe, which stops nothing; remove it");
        }
    }
}

fn validate_hook(handler: &LifecycleHandler, grace: i64, path: &FieldPath, errors: &mut FieldErrors) {
    let mut handlers = Handlers::new(path, errors);
    handlers.exec(handler.exec.as_ref());
    handlers.http_get(handler.http_get.as_ref());
    handlers.tcp_socket(handler.tcp_socket.as_ref());
    if let Some(sleep) = &handler.sleep {
        let path = handlers.next("sleep");
        if !(0..=grace).contains(&sleep.seconds) {
            let must = format!("must be from 0 to terminationGracePeriodSeconds, {grace}");
            handlers.errors.invalid(path.field("seconds"), sleep.seconds, must);
        }
    }
    handlers.finish("exec, httpGet, tcpSocket or sleep");
}

const PORT: &str = "must be from 1 to 65535";

/// The handlers of one probe or hook: there is one.
struct Handlers<'a> {
    path: &'a FieldPath,
    errors: &'a mut FieldErrors,
    count: usize,
}

impl<'a> Handlers<'a> {
    fn new(path: &'a FieldPath, errors: &'a mut FieldErrors) -> Handlers<'a> {
        Handlers { path, errors, count: 0 }
    }

    /// Where the handler is that was found.
    fn next(&mut self, field: &str) -> FieldPath {
        let path = self.path.field(field);
        self.count += 1;
        if self.count > 1 {
            self.errors.forbidden(path.clone(), "there may be one handler only; remove the others");
        }
        path
    }

    fn finish(self, choices: &str) {
        if self.count == 0 {
            self.errors.required(self.path, format!("needed: one handler; give {choices}"));
        }
    }

    fn exec(&mut self, exec: Option<&ExecAction>) {
        let Some(exec) = exec else { return };
        let path = self.next("exec");
        if exec.command.is_empty() {
            self.errors.required(path.field("command"), "needed; say what to run");
        }
    }

    fn http_get(&mut self, get: Option<&HttpGetAction>) {
        let Some(get) = get else { return };
        let path = self.next("httpGet");
        self.port(get.port.as_ref(), &path);
        if !matches!(get.scheme.as_str(), "HTTP" | "HTTPS") {
            self.errors.unsupported(path.field("scheme"), &get.scheme, &["HTTP", "HTTPS"]);
        }
        for (index, header) in get.http_headers.iter().enumerate() {
            let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
            if header.name.is_empty() || !header.name.bytes().all(is_token) {
                let path = path.field("httpHeaders").index(index).field("name");
                self.errors.invalid(path, &header.name, "must be the name of a header, such as `Accept`");
            }
        }
    }

    fn tcp_socket(&mut self, socket: Option<&TcpSocketAction>) {
        let Some(socket) = socket else { return };
        let path = self.next("tcpSocket");
        self.port(socket.port.as_ref(), &path);
    }

    fn port(&mut self, port: Option<&IntOrString>, path: &FieldPath) {
        let path = path.field("port");
        match port {
            None => self.errors.required(path, "needed; give a port, or the name of one"),
            Some(port) if port.r#type == 1 => {
                if let Err(must) = check_port_name(&port.str_val) {
                    self.errors.invalid(path, &port.str_val, must);
                }
            }
            Some(port) => {
                if !(1..=i32::from(u16::MAX)).contains(&port.int_val) {
                    self.errors.invalid(path, port.int_val, PORT);
                }
            }
        }
    }
}
