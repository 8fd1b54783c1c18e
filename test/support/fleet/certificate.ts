import { execFileSync } from 'node:child_process';
import { join } from 'node:path';

/** A self-signed certificate for localhost, made by openssl(1) in the folder given. */
export function makeCertificate(directory: string): { key: string; cert: string } {
	const key = join(directory, 'key.pem');
	const cert = join(directory, 'cert.pem');
	const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
	const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'];
	execFileSync('openssl', ['req', '-x509', ...curve, '-days', '2', ...subject, '-keyout', key, '-out', cert], {
		stdio: 'ignore',
	});
	return { key, cert };
}
