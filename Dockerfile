# The gateway alone: a static binary, the certificate authorities by which it
# verifies upstreams and providers, and a folder for its data.
# See docs/operations.md, "Containers".
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags="-s -w" -o /out/wsauth ./cmd/wsauth
RUN mkdir -m 700 /out/data

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/wsauth /wsauth
COPY --from=build --chown=65532:65532 /out/data /data
USER 65532:65532
ENV WSAUTH_DATA=/data
VOLUME /data
EXPOSE 8000
ENTRYPOINT ["/wsauth"]
CMD ["serve"]
