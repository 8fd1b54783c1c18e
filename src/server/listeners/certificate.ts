import { Server as TlsServer } from 'node:tls';
import type { HttpCertificate } from '../../config/checks/http-certificate.js';

/** 1.3 where the client can; some load balancers and monitors still cannot. */
export const tlsVersionMin = 'TLSv1.2' as const;

/** Used for new connections; existing ones keep theirs. */
export function presentFromNowOn(server: object, certificate: HttpCertificate): void {
	if (server instanceof TlsServer) server.setSecureContext({ ...certificate, minVersion: tlsVersionMin });
}
