import type { TLSSocket } from 'node:tls';
import { dayOf, nameInCertificate, validityOf } from '../../config/checks/certificates.js';

/** A certificate that node:tls did not verify, as the end that refuses it sees it. */
export interface Unverified {
	/** OpenSSL's code for the fault, for example CERT_HAS_EXPIRED. */
	code: string;
	/** Whose certificate it is, or claims to be. */
	whose: string;
	/** The node that refuses it; its clock and its ca.pem decide. */
	judge: string;
	/** ms since 1970 by the clock of `judge`. */
	now: number;
	/** When the certificate itself is valid, in ms since 1970; null where node:tls does not show it. */
	validity: { from: number; to: number } | null;
}

const otherAuthority = new Set([
	'DEPTH_ZERO_SELF_SIGNED_CERT',
	'SELF_SIGNED_CERT_IN_CHAIN',
	'UNABLE_TO_GET_ISSUER_CERT',
	'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
	'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
	'CERT_SIGNATURE_FAILURE',
]);

/** Why a certificate is refused, in words that both ends understand; null if the code is none of a certificate. */
export function certificateFault({ code, whose, judge, now, validity }: Unverified): string | null {
	const clock = `the clock of ${judge} says ${minuteOf(now)}`;
	if (otherAuthority.has(code))
		return `the certificate of ${whose} is of another authority than those in cluster.tls.ca of ${judge}`;
	if (code === 'CERT_HAS_EXPIRED') {
		if (validity === null) return `the certificate of ${whose}, or of its authority, has expired; ${clock}`;
		if (now < validity.to) return `the certificate of the authority of ${whose} has expired; ${clock}`;
		return `the certificate of ${whose} has expired, on ${dayOf(validity.to)}; ${clock}`;
	}
	if (code === 'CERT_NOT_YET_VALID') {
		const begin = validity === null || now >= validity.from ? '' : `, but from ${minuteOf(validity.from)} on`;
		return `the certificate of ${whose} is not valid yet${begin}; ${clock}`;
	}
	return /^(CERT|CRL)_|_CERT$|^INVALID_(CA|PURPOSE)$|^PATH_LENGTH/.test(code)
		? `the certificate of ${whose} does not verify: ${code}`
		: null;
}

/** `2026-11-30 02:40 UTC` */
const minuteOf = (at: number): string => `${new Date(at).toISOString().slice(0, 16).replace('T', ' ')} UTC`;

/** Why a certificate that a client of this node shows is not enough; null: it is one of a member, and verified. */
export function faultOfClient(
	socket: TLSSocket,
	judge: string,
	isMember: (name: string) => boolean,
): { claims: string | null; reason: string; answered: boolean } | null {
	const shown = socket.getPeerX509Certificate();
	if (!shown) return { claims: null, reason: 'it shows no certificate', answered: false };
	const claims = nameInCertificate(shown.toLegacyObject());
	const whose = claims ?? 'not exactly one node';
	if (!socket.authorized) {
		// Declared as an Error, it is the text of OpenSSL's code.
		const code = String(socket.authorizationError);
		const facts = {
			code,
			whose,
			judge,
			now: Date.now(),
			validity: validityOf(shown),
		};
		return {
			claims,
			reason: certificateFault(facts) ?? `the certificate of ${whose} does not verify: ${code}`,
			answered: true,
		};
	}
	if (claims !== null && isMember(claims)) return null;
	return {
		claims,
		reason: `the certificate names ${whose}, which is ${noMember} ${judge}`,
		answered: true,
	};
}

const noMember = 'no member in the configuration of';

/** Whether a peer's refusal says that this node is none of its members. */
export const saysNoMember = (reason: string): boolean => reason.includes(noMember);

const renewable = /certificate of ([\w.-]+)(?:, or of its authority,)? (?:has expired|is of another authority)/;

/** What brings a link back that a certificate keeps down, by the reason that either end gives; null where it is none. */
export function certificateRemedy(reason: string): string | null {
	const [, whose] = renewable.exec(reason) ?? [];
	if (whose !== undefined)
		return `Where the authority is: rollcall ca issue ${whose} --force; copy the files to ${whose}, then there: rollcall restart_service service=clustering_config`;
	return /certificate of [\w.-]+ is not valid yet/.test(reason)
		? 'Set the clock that is wrong right (timedatectl)'
		: null;
}

/** The header of the answer that says why. */
const refusalHeader = 'rollcall-refusal';
const refusalCharactersMax = 300;
/** Longest that an end which was refused may take to read why. */
const lingerMs = 1_000;

/** Says why and ends the connection; what the other end sends is dropped unread, so no parser ever sees it. */
export function refuseClient(socket: TLSSocket, reason: string): void {
	socket.on('error', () => socket.destroy());
	socket.removeAllListeners('data');
	// A listener of its own takes the bytes back from node:http, which reads below the stream otherwise.
	socket.on('data', () => undefined);
	const force = setTimeout(() => socket.destroy(), lingerMs);
	socket.once('close', () => clearTimeout(force));
	socket.end(
		`HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n${refusalHeader}: ${printable(reason)}\r\n\r\n`,
	);
}

/** What the other end said in its refusal; null if it is of a build that says nothing, or of something else. */
export function refusalIn(headers: Readonly<Record<string, string | string[] | undefined>>): string | null {
	const said = headers[refusalHeader];
	return typeof said === 'string' ? printable(said) : null;
}

const printable = (text: string): string => text.replace(/[^\x20-\x7e]/g, '?').slice(0, refusalCharactersMax);
