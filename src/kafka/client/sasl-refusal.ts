/** The broker does not take the credentials, or not in this way. The message is its reason. */
export class SaslRefusal extends Error {}
