# The binary, the roots that outbound https is checked against, and nothing else.
#
#   docker build -t jeton .
#   docker run --rm -p 9096:9096 -v jeton:/data -e JETON_ISSUER=https://id.example.com jeton
#
# Put a proxy that speaks https in front, or give --tls-cert and --tls-key.

FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=${VERSION}" -o /out/jeton ./cmd/jeton \
 && mkdir -p /out/data /out/tmp && chmod 0700 /out/data && chmod 1777 /out/tmp

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build --chown=65532:65532 /out/ /
USER 65532:65532
WORKDIR /data
VOLUME /data
EXPOSE 9096
# Within a container every address is the container's; --insecure says that https is spoken in front.
# Metrics stay inside: give JETON_METRICS_LISTEN=:9097 to let them be scraped.
ENV JETON_STORE=sqlite:/data/jeton.db JETON_LISTEN=:9096 JETON_INSECURE=true
STOPSIGNAL SIGTERM
ENTRYPOINT ["/jeton"]
CMD ["serve"]
