/** Whether the nodes accept one another's certificates at each moment of a change, while some have applied it and some not. */
import type { CheckResult, TlsFacts } from '../messages.js';
import type { NodeName } from '../types.js';

const meets = (trusted: readonly string[], signers: readonly string[]): boolean =>
	signers.some((one) => trusted.includes(one));

const rest = 'nothing was applied';

/** The first pair of which one would not accept the other, with the way out; null if there is none, as far as the nodes say. */
export function findDistrust(checks: readonly (readonly [NodeName, CheckResult | null | undefined])[]): string | null {
	const told = checks.flatMap(([node, check]) => (check?.tls ? [{ node, tls: check.tls }] : []));
	for (const judge of told)
		for (const shown of told) {
			const fault = judge.node === shown.node ? null : distrustOf(judge, shown);
			if (fault !== null) return fault;
		}
	return null;
}

/** `presents`: as it does now, or did. */
export const afterAccepting = (caFile: string, node: NodeName, presents: string): string =>
	`its new ${caFile} does not accept the certificate that ${node} ${presents}; leave the old authority in it, beside the new one, until ${node} has taken up a certificate of the new one; ${rest}`;

export const notAcceptedYet = (certFile: string, node: NodeName): string =>
	`the new certificate ${certFile} is of an authority that ${node} does not accept yet; put the old and the new authority into cluster.tls.ca of every node and take that up first, with the old certificates; ${rest}`;

interface Told {
	node: NodeName;
	tls: TlsFacts;
}

function distrustOf(judge: Told, shown: Told): string | null {
	if (!meets(judge.tls.trusts, shown.tls.presents))
		return `${judge.node}: ${afterAccepting(judge.tls.caFile, shown.node, 'presents now')}`;
	if (!meets(judge.tls.trustsNow, shown.tls.signedBy))
		return `${shown.node}: ${notAcceptedYet(shown.tls.certFile, judge.node)}`;
	if (!meets(judge.tls.trusts, shown.tls.signedBy))
		return `${shown.node}: the new certificate ${shown.tls.certFile} is of an authority that is not in the new ${judge.tls.caFile} of ${judge.node}; ${rest}`;
	return null;
}
