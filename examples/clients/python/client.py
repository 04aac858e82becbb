"""Runs a WASI module as a Job: pushes it, creates the Job, watches it, prints what it wrote."""

import argparse
import os
import pathlib
import sys

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from k8s.batch.v1 import batch_pb2
from k8s.core.v1 import container_pb2, pod_pb2
from k8s.meta.v1 import meta_pb2
from wick.v1 import image_service_pb2, image_service_pb2_grpc
from wick.v1 import job_service_pb2, job_service_pb2_grpc
from wick.v1 import pod_service_pb2, pod_service_pb2_grpc
from wick.v1 import watch_pb2

PIECE = 256 * 1024  # Bytes of a module sent at once.


def push(channel, name, module):
    """Stores the module; the digest it is found by."""

    def parts():
        header = image_service_pb2.ImagePushHeader(name=name, size_bytes=len(module))
        yield image_service_pb2.ImageServicePushRequest(header=header)
        for start in range(0, len(module), PIECE):
            yield image_service_pb2.ImageServicePushRequest(chunk=module[start : start + PIECE])

    return image_service_pb2_grpc.ImageServiceStub(channel).Push(parts()).image.digest


def create(channel, name, image):
    """Creates a Job of one Pod that is not tried again."""
    container = container_pb2.Container(name="main", image=image)
    pod = pod_pb2.PodSpec(restartPolicy="Never", containers=[container])
    spec = batch_pb2.JobSpec(backoffLimit=0, template=pod_pb2.PodTemplateSpec(spec=pod))
    job = batch_pb2.Job(metadata=meta_pb2.ObjectMeta(name=name), spec=spec)
    request = job_service_pb2.JobServiceCreateRequest(job=job)
    job_service_pb2_grpc.JobServiceStub(channel).Create(request)


def watch(channel, name):
    """Waits for the Job's end; True if it is complete."""
    request = job_service_pb2.JobServiceWatchRequest(filter=watch_pb2.ObjectFilter(name=name))
    for change in job_service_pb2_grpc.JobServiceStub(channel).Watch(request):
        for condition in change.job.status.conditions:
            if condition.type in ("Complete", "Failed") and condition.status == "True":
                print(f"{name}: {condition.type}", file=sys.stderr)
                return condition.type == "Complete"
    raise RuntimeError("the watch ended before the Job did")


def print_logs(channel, name):
    """Prints what the Job's Pods wrote."""
    pods = pod_service_pb2_grpc.PodServiceStub(channel)
    selected = watch_pb2.ObjectFilter(label_selector=f"job-name={name}")
    for pod in pods.List(pod_service_pb2.PodServiceListRequest(filter=selected)).pods:
        for part in pods.Logs(pod_service_pb2.PodServiceLogsRequest(name=pod.metadata.name)):
            for line in part.lines:
                sys.stdout.buffer.write(line.text + (b"" if line.partial else b"\n"))


def reasons(error):
    """Every field that was refused and why, or the message of any other error."""
    status = rpc_status.from_call(error)
    for detail in status.details if status else []:
        bad = error_details_pb2.BadRequest()
        if detail.Unpack(bad):
            return [f"{violation.field}: {violation.description}" for violation in bad.field_violations]
    return [f"{error.code().name}: {error.details()}"]


def main():
    args = argparse.ArgumentParser(description=__doc__)
    server = os.environ.get("WICK_SERVER", "127.0.0.1:7180")
    args.add_argument("--server", default=server, help="HOST:PORT, or unix:PATH of the agent's socket")
    args.add_argument("--name", default="from-python", help="the Job's name")
    args.add_argument("module", type=pathlib.Path, help="a .wasm or .wat file")
    args = args.parse_args()
    # For a socket, gRPC would name the server by the socket's path, which is no name that HTTP/2 allows.
    options = [("grpc.default_authority", "localhost")] if args.server.startswith("unix:") else []
    try:
        with grpc.insecure_channel(args.server, options) as channel:
            digest = push(channel, args.module.stem, args.module.read_bytes())
            create(channel, args.name, digest)
            complete = watch(channel, args.name)
            print_logs(channel, args.name)
            return 0 if complete else 1
    except grpc.RpcError as error:
        for reason in reasons(error):
            print(f"error: {reason}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
